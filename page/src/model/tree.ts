// A conversation's messages as a tree: an edited question and a repeated answer are branches beside the first ones.
import type { Message } from "../api.ts";

/** What is shown as one: a question, or an answer with what continued it. */
export interface Turn {
  role: Message["role"];
  messages: [Message, ...Message[]];
}

export class Tree {
  private readonly byId = new Map<string, Message>();
  private readonly below = new Map<string | null, Message[]>();

  constructor(messages: readonly Message[]) {
    for (const message of messages) this.byId.set(message.id, message);
    for (const message of this.byId.values()) {
      const parent = this.parentOf(message);
      this.below.set(parent, [...(this.below.get(parent) ?? []), message]);
    }
    for (const siblings of this.below.values()) siblings.sort((one, other) => one.created - other.created);
  }

  get(id: string): Message | undefined {
    return this.byId.get(id);
  }

  /** The messages beside this one and itself, oldest first: below the same parent, and of the same kind. */
  beside(message: Message): Message[] {
    return (this.below.get(this.parentOf(message)) ?? []).filter((other) => other.role === message.role);
  }

  /** The end of the newest branch that goes on from a message, or from the start. */
  newest(id: string | null): string | null {
    let at = id;
    for (let next = this.last(at); next; next = this.last(at)) at = next.id;
    return at;
  }

  /** The messages from the start to the end of the branch in which `leaf` is. */
  path(leaf: string | null): Message[] {
    const path: Message[] = [];
    const start = leaf !== null && this.byId.has(leaf) ? leaf : null;
    let at = this.newest(start);
    while (at !== null) {
      const message = this.byId.get(at);
      if (!message) break;
      path.push(message);
      at = this.parentOf(message);
    }
    return path.reverse();
  }

  private last(id: string | null): Message | undefined {
    return this.below.get(id)?.at(-1);
  }

  /** A parent that is not here any more is no parent: its branch begins here. A message never is its own. */
  private parentOf(message: Message): string | null {
    const { parent } = message;
    return parent !== null && parent !== message.id && this.byId.has(parent) ? parent : null;
  }
}

/** The path as it is shown: an answer that continues another one grows from it. */
export function turns(path: readonly Message[]): Turn[] {
  const found: Turn[] = [];
  for (const message of path) {
    const before = found.at(-1);
    if (before?.role === "assistant" && message.role === "assistant") before.messages.push(message);
    else found.push({ role: message.role, messages: [message] });
  }
  return found;
}
