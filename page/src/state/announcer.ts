// What a screen reader is told while an answer grows: each paragraph when it is whole, and how it ended.
import { effect, signal, untracked } from "@preact/signals";
import { Spoken } from "../model/spoken.ts";
import { words } from "../words.ts";
import { tree } from "./conversation.ts";
import { cutOf } from "./endings.ts";
import { lives } from "./live.ts";

interface Line {
  number: number;
  text: string;
}

const KEPT = 4;
let number = 0;

export const lines = signal<readonly Line[]>([]);

export function announce(text: string): void {
  if (text) lines.value = [...lines.peek().slice(1 - KEPT), { number: (number += 1), text }];
}

const tellers = new Map<string, Spoken>();

function tell(id: string, text: string): void {
  let teller = tellers.get(id);
  if (!teller) {
    tellers.set(id, (teller = new Spoken()));
    announce(words.value.answering);
  }
  announce(teller.next(text, false));
}

function finish(id: string, teller: Spoken): void {
  tellers.delete(id);
  const message = tree.value.get(id);
  if (!message || message.state === null) return;
  announce(teller.next(message.text, true));
  announce(cutOf(message) ?? words.value.answered);
}

/** Tell of every answer that is followed. */
export function announceAnswers(): () => void {
  return effect(() => {
    const texts = [...lives.value].map(([id, live]) => [id, live.view.value.text] as const);
    untracked(() => {
      for (const [id, text] of texts) tell(id, text);
      for (const [id, teller] of [...tellers]) if (!lives.value.has(id)) finish(id, teller);
    });
  });
}
