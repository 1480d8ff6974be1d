// Headrace in a browser: streams that are followed over as many connections as it takes. It is served at /headrace.js.

/** Milliseconds; a server that is there is heard from every fifteen seconds. */
const SILENCE = 30_000;

/** One server-sent event. `id` is the cursor that is reached with it. */
export interface StreamEvent {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** Where a follower is. `detail` beside it: the reply of "open", the pause of "waiting" in milliseconds. */
export type State = "connecting" | "open" | "waiting" | "offline";

export interface Options {
  /** The id of the last event that was seen. */
  after?: string | undefined;
  headers?: Record<string, string> | undefined;
  /** Ends it; the loop then throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Milliseconds without a byte after which a connection counts as lost. Keep-alives count. */
  timeout?: number | undefined;
  /** Milliseconds for which a server may stay away; the time for which the browser is offline is not counted. */
  patience?: number | undefined;
  onstate?: ((state: State, detail?: Response | number) => void) | undefined;
  fetch?: typeof fetch | undefined;
}

export interface StartOptions extends Options {
  /** Where answers begin. */
  url?: string | undefined;
  /** The Idempotency-Key: a name of the stream, for `cancel` too. */
  key?: string | undefined;
}

/** The server has answered, and does not do what it was asked for. Its `name` says why in one word. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, message = `The server answers with status ${status}.`, code = "") {
    super(message);
    this.status = status;
    this.code = code;
    this.name = { 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 410: "Gone" }[status] ?? "Refused";
  }
}

/** The server has not answered for as long as it was waited for. `cause` is the last thing that went wrong. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
}

/** Bytes to events, by the rules of the WHATWG; however the bytes are split. */
export class Parser {
  /** The cursor that has been reached. */
  id: string;
  /** What the server asks to wait before it is asked again, in milliseconds. */
  retry: number | undefined;
  #text = new TextDecoder();
  #line = "";
  #return = false;
  #next: string;
  #event = "";
  #data: string[] = [];

  constructor(id = "") {
    this.id = this.#next = id;
  }

  /** The events that these bytes complete. */
  feed(bytes: Uint8Array): StreamEvent[] {
    const events: StreamEvent[] = [];
    let text = this.#text.decode(bytes, { stream: true });
    if (!text) return events;
    // The second half of a CRLF, of which the first half ended the line.
    if (this.#return && text[0] === "\n") text = text.slice(1);
    this.#return = text.endsWith("\r");
    const lines = text.split(/\r\n|\r|\n/);
    lines[0] = this.#line + lines[0];
    this.#line = lines.pop() as string;
    for (const line of lines) this.#take(line, events);
    return events;
  }

  #take(line: string, events: StreamEvent[]): void {
    if (!line) return this.#dispatch(events);
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#event = value;
    else if (name === "id" && !value.includes("\0")) this.#next = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retry = +value;
  }

  #dispatch(events: StreamEvent[]): void {
    this.id = this.#next;
    if (this.#data.length) events.push({ id: this.id, event: this.#event || "message", data: this.#data.join("\n") });
    this.#event = "";
    this.#data = [];
  }
}

/** Something that may look different when it is asked for again, after so many milliseconds. */
class Away extends Error {
  readonly after: number;

  constructor(status: number, after: number) {
    super(`The server is away (status ${status}).`);
    this.after = after;
  }
}

/** Pauses that grow until something succeeds, and do not last for ever. */
class Patience {
  readonly #options: Options;
  readonly #whole: number;
  #left: number;
  #tries = 0;
  #since = Date.now();

  constructor(options: Options) {
    this.#options = options;
    this.#whole = this.#left = options.patience ?? 60_000;
  }

  renew(): void {
    this.#left = this.#whole;
    this.#tries = 0;
    this.#since = Date.now();
  }

  /** Wait after an attempt that came to nothing. Throws Unreachable, or what the signal was aborted with. */
  async pause(cause?: unknown, first = 500): Promise<void> {
    const { signal, onstate, timeout = SILENCE } = this.#options;
    // What is short, or nothing, has to grow too: nobody is to be asked hundreds of times a second.
    const doubled = Math.max(first, 1) * 2 ** Math.min(this.#tries++, 14);
    const growing = Math.min(doubled, Math.max(first, 15_000)) * (1 + Math.random() / 2);
    const pause = Math.max(growing, cause instanceof Away ? cause.after : 0);
    // A server on this machine is there without a network, so attempts go on; but nobody is to blame.
    const offline = globalThis.navigator?.onLine === false;
    if (!offline && this.#left <= 0) throw new Unreachable("The server cannot be reached.", { cause });
    onstate?.(offline ? "offline" : "waiting", pause);
    await rest(pause, signal);
    signal?.throwIfAborted();
    const now = Date.now();
    // A machine that slept meanwhile has not waited.
    if (!offline) this.#left -= Math.min(now - this.#since, timeout + pause);
    this.#since = now;
  }
}

/** Wait; a network or a page that comes back ends it early. */
async function rest(milliseconds: number, signal?: AbortSignal): Promise<void> {
  const over = new AbortController();
  await new Promise<unknown>((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    over.signal.onabort = () => clearTimeout(timer);
    for (const event of ["online", "pageshow", "visibilitychange"])
      globalThis.addEventListener?.(event, resolve, { signal: over.signal });
    signal?.addEventListener("abort", resolve, { signal: over.signal });
  });
  over.abort();
}

/** One connection, which is hung up when nothing is heard of it for too long, or when the caller has had enough. */
class Line {
  readonly #timeout: number;
  readonly #caller: AbortSignal | undefined;
  readonly #cut = new AbortController();
  readonly #hang = () => this.#cut.abort(this.#caller?.reason);

  constructor({ timeout = SILENCE, signal }: Options) {
    signal?.throwIfAborted();
    this.#timeout = timeout;
    this.#caller = signal;
    signal?.addEventListener("abort", this.#hang);
  }

  get signal(): AbortSignal {
    return this.#cut.signal;
  }

  /** What is awaited next. By the wall clock: that goes on while a machine sleeps, and timers do not. */
  async hear<T>(next: Promise<T>): Promise<T> {
    const since = Date.now();
    const watch = setInterval(
      () => Date.now() - since < this.#timeout || this.#cut.abort(new Error("The server fell silent.")),
      Math.min(1000, this.#timeout / 4),
    );
    try {
      return await next;
    } finally {
      clearInterval(watch);
    }
  }

  close(): void {
    this.#caller?.removeEventListener("abort", this.#hang);
    this.#cut.abort();
  }
}

/** Throws Refused, or Away where a later attempt may do better. What is no reply of Headrace's is some proxy's. */
async function check(reply: Response, type: string): Promise<void> {
  const { ok, status, headers } = reply;
  if (ok && headers.get("content-type")?.startsWith(type)) return;
  const again = ok || status >= 500 || status === 408 || status === 429;
  if ((headers.get("x-should-retry") ?? String(again)) === "true")
    throw new Away(status, 1000 * Math.min(60, Number(headers.get("retry-after")) || 0));
  const told = (await reply.json().catch(() => null)) as { error?: { message?: string; code?: string } } | null;
  throw new Refused(status, told?.error?.message, told?.error?.code);
}

/**
 * The events of a stream, each once and in order, over as many connections as it takes.
 *
 * Only the server says that a stream has ended: by 204, when it is asked for what comes after the last event. A body that
 * ends is no such word, however cleanly it does. Throws Refused, Unreachable, and what the signal was aborted with.
 */
export async function* follow(
  url: string | URL,
  options: Options = {},
  init: RequestInit = {},
): AsyncGenerator<StreamEvent, void, void> {
  const patience = new Patience(options);
  let last = options.after ?? "";
  let retry: number | undefined;
  for (;;) {
    const line = new Line(options);
    const parser = new Parser(last);
    let cause: unknown;
    try {
      options.onstate?.("connecting");
      const headers = { accept: "text/event-stream", ...options.headers, ...(last && { "last-event-id": last }) };
      const request = { cache: "no-store", ...init, headers, signal: line.signal } as const;
      const reply = await line.hear((options.fetch ?? fetch)(url, request));
      if (reply.status === 204) return;
      await line.hear(check(reply, "text/event-stream"));
      options.onstate?.("open", reply);
      const reader = (reply.body as ReadableStream<Uint8Array>).getReader();
      for (let piece; !(piece = await line.hear(reader.read())).done; ) {
        patience.renew();
        yield* parser.feed(piece.value);
      }
    } catch (error) {
      if (error instanceof Refused || options.signal?.aborted) throw error;
      cause = error;
    } finally {
      line.close();
    }
    const whole = !cause && parser.id !== last;
    last = parser.id;
    retry = parser.retry ?? retry;
    if (!whole) await patience.pause(cause, retry);
  }
}

/** Start an answer and follow it. However often the request has to be repeated, there is one answer. */
export function start(body: unknown, options: StartOptions = {}): AsyncGenerator<StreamEvent, void, void> {
  const { url = "/v1/chat/stream", key = token(), headers, ...rest } = options;
  const all = { "content-type": "application/json", "idempotency-key": key, ...headers };
  return follow(url, { ...rest, headers: all }, { method: "POST", body: JSON.stringify(body) });
}

/** Stop a stream, by its id or another name of it; again is harmless. `base` is the server, where it is another one. */
export async function cancel(
  id: string,
  options: Options & { base?: string } = {},
): Promise<{ cancelled: boolean; state: string; reason?: string }> {
  const url = `${options.base ?? ""}/v1/streams/${encodeURIComponent(id)}/cancel`;
  const patience = new Patience(options);
  for (;;) {
    const line = new Line(options);
    try {
      const request = { method: "POST", headers: options.headers ?? {}, signal: line.signal };
      const reply = await line.hear((options.fetch ?? fetch)(url, request));
      await line.hear(check(reply, "application/json"));
      return await line.hear(reply.json());
    } catch (error) {
      if (error instanceof Refused || options.signal?.aborted) throw error;
      await patience.pause(error);
    } finally {
      line.close();
    }
  }
}

/** A name that nobody else has. (`crypto.randomUUID` is missing on pages that do not come by HTTPS.) */
export function token(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
