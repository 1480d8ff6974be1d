/** The events of an answer, as docs/dialects.md has them. */
export type AnswerEvent =
  | { name: "start"; data: { id: string; model: string } }
  | { name: "token"; data: { token: string } }
  | { name: "done"; data: { finish_reason: string } }
  | { name: "error"; data: { code: string; message: string; retry: boolean } }
  | { name: "cancelled"; data: { reason: string } }
  | { name: "close"; data: Record<string, never> };

export interface Message {
  role: "user" | "assistant";
  content: string;
}

/** The server refuses, or there was a silence: asking again in the same way does not help. */
export class Refused extends Error {}

const ATTEMPTS = 8;

/**
 * One answer. It has a name of its own from the start, so that it can be stopped before its first byte is here, and so
 * that asking again after a lost connection goes on with it, and starts no other.
 */
export class Answer {
  readonly name = crypto.randomUUID();
  #abort = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #seen: string | undefined;

  constructor(
    private server: string,
    private body: { messages: Message[]; model?: string },
    private silence: number,
  ) {}

  /** Its events, each once, over as many connections as it takes. */
  async *events(): AsyncGenerator<AnswerEvent> {
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (attempt) await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** Math.min(attempt, 4)));
        try {
          for await (const event of this.#connection()) {
            yield event;
            if (event.name === "close") return;
          }
        } catch (error) {
          if (error instanceof Refused) throw error;
          this.#abort.signal.throwIfAborted(); // left, or too long a silence; else the connection was lost
        }
      }
      throw new Refused("The connection is lost.");
    } finally {
      this.leave();
    }
  }

  /** Stop the model, not just this page's connection to it: every reader is told, this one too. */
  async stop(): Promise<void> {
    const reply = await fetch(`${this.server}/v1/streams/${this.name}/cancel`, { method: "POST" });
    if (!reply.ok) throw new Refused(await reason(reply));
  }

  /** Let go of the connection; nobody is stopped by that at once. */
  leave(): void {
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  async *#connection(): AsyncGenerator<AnswerEvent> {
    this.#wait();
    const headers: Record<string, string> = { "Content-Type": "application/json", "Idempotency-Key": this.name };
    if (this.#seen) headers["Last-Event-ID"] = this.#seen;
    const reply = await fetch(`${this.server}/v1/chat/stream`, {
      method: "POST",
      headers,
      body: JSON.stringify(this.body),
      signal: this.#abort.signal,
    });
    if (reply.status === 204) return yield { name: "close", data: {} }; // all of it was seen
    if (!reply.ok || !reply.body) throw new Refused(await reason(reply));
    for await (const block of blocks(reply.body)) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s)));
      if (!fields.event) continue; // a keep-alive: a sign of life, and not of progress
      this.#wait();
      this.#seen = fields.id;
      yield { name: fields.event, data: JSON.parse(fields.data) };
    }
  }

  /** Wait for the next event, from now on. */
  #wait(): void {
    clearTimeout(this.#timer);
    const error = new Refused(`Nothing has come for ${this.silence / 1000} seconds.`);
    this.#timer = setTimeout(() => this.#abort.abort(error), this.silence);
  }
}

/** The blocks of a stream, between blank lines. */
async function* blocks(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const text = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  for (let buffer = ""; ; ) {
    const { value, done } = await text.read();
    if (done) return;
    const parts = (buffer + value).split("\n\n");
    buffer = parts.pop()!;
    yield* parts;
  }
}

async function reason(reply: Response): Promise<string> {
  const body = await reply.json().catch(() => ({}));
  return body.error?.message ?? `The server refuses (${reply.status}).`;
}
