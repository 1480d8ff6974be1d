// The answers that grow now: each is followed over as many connections as it takes, and shown once a frame.
import { effect, signal, untracked, type Signal } from "@preact/signals";
import { streams, type Message, type Part } from "../api.ts";
import { follow, Refused, type State as Link } from "../headrace.ts";
import { Growing, type Ending, type Tool } from "../model/growing.ts";
import { Rate } from "../model/rate.ts";
import { preferences } from "../preferences.ts";
import { confirm, growing, refresh, shown, tree } from "./conversation.ts";
import { Frame } from "./frame.ts";
import { tell } from "./notice.ts";

export interface View {
  text: string;
  reasoning: string;
  tools: readonly Tool[];
  link: Link;
  perSecond: number | null;
}

const isGone = (error: unknown): boolean => error instanceof Refused && [404, 410].includes(error.status);

/** Why a connection is given up: there may be a better one. */
const BACK = new Error("The network is back.");

/** Milliseconds after which the server is asked, and asked again, how an answer ended. */
const SETTLING = [0, 250, 1000, 3000];

export class Live {
  readonly view: Signal<View>;
  readonly rate = new Rate();
  private readonly id: string;
  private readonly conversation = shown.peek().id;
  private readonly grown = new Growing();
  private readonly leaving = new AbortController();
  private readonly frame = new Frame(() => this.draw());
  private link: Link = "connecting";
  private line = new AbortController();
  private last = "";

  constructor(id: string, stream: string) {
    this.id = id;
    this.view = signal(this.snapshot());
    void this.run(stream);
  }

  get isAway(): boolean {
    return this.link === "waiting" || this.link === "offline";
  }

  leave(): void {
    this.leaving.abort();
  }

  private async run(stream: string): Promise<void> {
    try {
      await this.follow(stream);
    } catch (error) {
      if (this.leaving.signal.aborted) return;
      if (!isGone(error)) return this.fail(error);
    }
    this.draw();
    await this.settle();
  }

  private async follow(stream: string): Promise<void> {
    for (;;) {
      this.line = new AbortController();
      try {
        return await this.hear(stream, AbortSignal.any([this.leaving.signal, this.line.signal]));
      } catch (error) {
        if (error !== BACK) throw error;
      }
    }
  }

  private async hear(stream: string, signal: AbortSignal): Promise<void> {
    const timeout = preferences.peek().timeout * 1000;
    const options = { after: this.last, signal, timeout, patience: Infinity, onstate: (link: Link) => this.turn(link) };
    for await (const { id, data } of follow(streams.followed(stream), options)) {
      this.last = id;
      this.grown.take(data);
      this.rate.count(this.grown.pieces, performance.now());
      this.turn("open");
      if (this.grown.ending) return;
    }
  }

  /** Ask anew, without waiting for silence or for the next attempt. */
  readonly rejoin = (): void => this.line.abort(BACK);

  /** The device has no network; what is heard nevertheless says otherwise. */
  readonly lose = (): void => this.turn("offline");

  /** Nothing can be heard of it now; it is followed again when the conversation has been fetched again. */
  private fail(error: unknown): void {
    lives.value = new Map([...lives.value].filter(([id]) => id !== this.id));
    tell(error);
  }

  private turn(link: Link): void {
    this.link = link;
    this.frame.ask();
  }

  private draw(): void {
    this.view.value = this.snapshot();
  }

  private snapshot(): View {
    const { text, reasoning, tools } = this.grown;
    return { text, reasoning, tools: tools.slice(), link: this.link, perSecond: this.rate.perSecond };
  }

  /** How it ended: as the stream said, and more exactly as the server has kept it. */
  private async settle(): Promise<void> {
    const told = this.grown.ending;
    if (told && told.state !== "failed") this.close(told);
    for (const wait of SETTLING) {
      await new Promise((resolve) => setTimeout(resolve, wait));
      if (this.leaving.signal.aborted) return;
      await refresh();
    }
    this.close(told ?? { state: "interrupted", reason: "gone" });
  }

  private close(ending: Ending): void {
    const message = tree.peek().get(this.id);
    if (message?.state !== null) return;
    const { text, usage } = this.grown;
    confirm(this.conversation, [{ ...message, ...ending, text, usage, parts: this.parts() }]);
  }

  private parts(): Part[] {
    const { reasoning, tools } = this.grown;
    const thought: Part[] = reasoning ? [{ type: "reasoning", text: reasoning }] : [];
    return [...thought, ...tools.map((tool): Part => ({ type: "tool", name: tool.name, arguments: tool.arguments }))];
  }
}

export const lives = signal<ReadonlyMap<string, Live>>(new Map());

addEventListener("offline", () => lives.peek().forEach((live) => live.lose()));
addEventListener("online", () => lives.peek().forEach((live) => live.rejoin()));

/** The server has been heard: whoever waits for it need wait no longer. */
export function rejoinWaiting(): void {
  for (const live of lives.peek().values()) if (live.isAway) live.rejoin();
}

/** Answers for which a whole reply is being waited for. */
export const awaited = signal<ReadonlySet<string>>(new Set());

/** Pieces per second of the answers that this page has asked for and seen to their end. */
export const rates = new Map<string, number>();

/** Follow what grows in the shown branch, and leave what has ended or is not shown any more. */
export function followShown(): () => void {
  return effect(() => {
    const open = growing.value.filter((message) => message.stream !== null && !awaited.value.has(message.id));
    const here = new Set(shown.value.messages.filter((message) => message.state === null).map((message) => message.id));
    untracked(() => {
      const kept = [...lives.value].filter(([id, live]) => here.has(id) || part(id, live));
      const fresh = open.filter((message) => !lives.value.has(message.id));
      if (kept.length === lives.value.size && fresh.length === 0) return;
      lives.value = new Map([...kept, ...fresh.map(begun)]);
    });
  });
}

const begun = ({ id, stream }: Message): [string, Live] => [id, new Live(id, stream ?? "")];

/** Leave an answer; always false, as it is kept no longer. */
function part(id: string, live: Live): false {
  live.leave();
  const { perSecond } = live.rate;
  if (perSecond !== null) rates.set(id, perSecond);
  return false;
}
