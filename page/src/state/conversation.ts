// The conversation that is shown: its messages as the server has them, and what is on its way there.
import { batch, computed, signal } from "@preact/signals";
import { conversations, UNREACHED, type Conversation, type Message, type Settings } from "../api.ts";
import { Refused, token } from "../headrace.ts";
import { Tree, turns } from "../model/tree.ts";
import { preferences } from "../preferences.ts";
import { tell } from "./notice.ts";

/** `saved`: the server has it. `loading`: it is being fetched. */
export interface Shown extends Conversation {
  saved: boolean;
  loading: boolean;
}

function blank(): Shown {
  const at = Date.now() / 1000;
  const settings = preferences.value.model ? { model: preferences.value.model } : {};
  return { id: `conv_${token()}`, title: "", created: at, updated: at, settings, leaf: null, messages: [], saved: false, loading: false };
}

export const shown = signal<Shown>(blank());

/** Messages that the server has not confirmed yet. */
export const unsent = signal<Message[]>([]);

/** The end of the branch that is shown. */
export const leaf = signal<string | null>(null);

const messages = computed(() => {
  const known = new Set(shown.value.messages.map((message) => message.id));
  return [...shown.value.messages, ...unsent.value.filter((message) => !known.has(message.id))];
});

export const tree = computed(() => new Tree(messages.value));
export const path = computed(() => tree.value.path(leaf.value));
export const shownTurns = computed(() => turns(path.value));

/** The answers of the shown branch that are still growing. */
export const growing = computed(() => path.value.filter((message) => message.role === "assistant" && message.state === null));

function show(next: Shown): void {
  batch(() => {
    shown.value = next;
    unsent.value = [];
    leaf.value = next.leaf;
  });
}

/** Begin a new conversation; the server hears of it with the first message. */
export function begin(): void {
  show(blank());
  if (location.hash) history.pushState(null, "", location.pathname);
}

/** Begin anew in the place of a conversation that is gone: who goes back would only come here again. */
export function leave(): void {
  history.replaceState(null, "", location.pathname);
  begin();
}

/** Show a conversation. One that is not there is told, and a new one begun. */
export async function open(id: string): Promise<void> {
  if (shown.value.id === id && shown.value.saved) return;
  show({ ...blank(), id, saved: true, loading: true });
  if (named() !== id) history.pushState(null, "", `#${id}`);
  await refresh();
}

/** The conversation that the address names. */
export const named = (): string => /^#([\w-]{1,64})$/.exec(location.hash)?.[1] ?? "";

/** Counts what is changed here: what was fetched meanwhile may not know of it. */
let changes = 0;
/** How many of the changes are still on their way to the server. */
let underway = 0;
/** Counts what is fetched, and which of it was taken last: what is older and comes later is not to be taken. */
let fetches = 0;
let newest = 0;

/** Fetch the shown conversation anew; `until` gives that up. */
export async function refresh(until?: AbortSignal): Promise<void> {
  const { id, saved } = shown.value;
  const before = changes;
  if (!saved) return;
  const mine = (fetches += 1);
  try {
    const found = await conversations.read(id, until);
    if (shown.value.id !== id || mine < newest) return;
    if (before !== changes) return await refresh(until);
    newest = mine;
    take(found);
  } catch (error) {
    if (shown.value.id === id && !until?.aborted) lose(error);
  }
}

/** Change something of the shown conversation, here at once and then on the server. */
async function change(part: { settings?: Settings; leaf?: string }): Promise<void> {
  const { id, saved } = shown.value;
  shown.value = { ...shown.value, ...part };
  changes += 1;
  if (!saved) return;
  underway += 1;
  try {
    await conversations.change(id, part);
  } catch (error) {
    tell(error);
  } finally {
    underway -= 1;
    changes += 1;
  }
}

function take(fetched: Conversation): void {
  const { settings, leaf: end } = shown.peek();
  const found = underway > 0 ? { ...fetched, settings, leaf: end } : fetched;
  batch(() => {
    const moved = found.leaf !== shown.value.leaf && unsent.value.length === 0;
    if (moved || shown.value.loading) leaf.value = found.leaf;
    shown.value = { ...found, messages: found.messages.map(settled), saved: true, loading: false };
    const known = new Set(found.messages.map((message) => message.id));
    unsent.value = unsent.value.filter((message) => !known.has(message.id));
  });
}

/** What we have seen to its end has ended, also where the server is about to write that down. */
function settled(message: Message): Message {
  const ours = message.state === null ? tree.peek().get(message.id) : undefined;
  return ours && ours.state !== null ? ours : message;
}

function lose(error: unknown): void {
  if (error instanceof Refused && error.status === 404) leave();
  if (shown.value.loading || !(error instanceof Refused && error.status === UNREACHED)) tell(error);
}

/** Put messages in, as the server has confirmed them. */
export function confirm(id: string, confirmed: readonly Message[]): void {
  if (shown.value.id !== id) return;
  const ids = new Set(confirmed.map((message) => message.id));
  changes += 1;
  batch(() => {
    const kept = shown.value.messages.filter((message) => !ids.has(message.id));
    shown.value = { ...shown.value, saved: true, messages: [...kept, ...confirmed] };
    unsent.value = unsent.value.filter((message) => !ids.has(message.id));
  });
}

/** Show another branch; other devices will too. */
export function branch(message: Message): void {
  const end = tree.value.newest(message.id);
  leaf.value = end;
  if (end === null) return;
  void change({ leaf: end });
}

/** Change how the conversation's answers are asked for. */
export const configure = (settings: Settings): void => void change({ settings });
