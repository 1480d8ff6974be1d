// Asking for answers. Each has an id of this page's making, so a request that is repeated never asks a model twice.
import { batch } from "@preact/signals";
import { conversations, streams, type Ask, type Asked, type Message, type Part, type Said } from "../api.ts";
import { token } from "../headrace.ts";
import { preferences } from "../preferences.ts";
import { confirm, growing, leaf, open, path, refresh, shown, unsent, type Shown } from "./conversation.ts";
import { restore } from "./draft.ts";
import { awaited } from "./live.ts";
import { modelOf } from "./models.ts";
import { dismiss, tell } from "./notice.ts";
import { keepFocus } from "./screen.ts";
import { persistently, type Trying } from "./trying.ts";

/** What is asked for: a new message, below `parent`, or that `parent` is answered again or continued. */
export interface Wish {
  parent: string | null;
  text?: string;
  pictures?: readonly Part[];
  continue?: true;
}

const TITLE = 60; // characters
const SOON = 5_000; // milliseconds
const stops = new Map<string, AbortController>();

/** Send a new message below the end of the shown branch. */
export const send = (text: string, pictures: readonly Part[]): Promise<void> =>
  ask({ parent: path.value.at(-1)?.id ?? null, text, pictures });

/** Send another message in the place of one. */
export const resend = (message: Message, text: string): Promise<void> =>
  ask({ parent: message.parent, text, pictures: message.parts });

/** Have a question answered once more. */
export const regenerate = (answer: Message): Promise<void> => ask({ parent: answer.parent });

export const goOn = (answer: Message): Promise<void> => ask({ parent: answer.id, continue: true });

async function ask(wish: Wish): Promise<void> {
  const at = shown.value;
  const request = requested(at, wish);
  const stop = new AbortController();
  stops.set(request.id, stop);
  dismiss();
  show(request, wish.pictures ?? []);
  keepFocus();
  if (!request.stream) wait(request.id, true);
  try {
    await submit(at, request, stop.signal);
  } catch (error) {
    withdraw(request, wish);
    const again = wish.text === undefined ? () => void askAgain(at.id, wish) : undefined;
    if (!stop.signal.aborted) tell(error, again);
  } finally {
    stops.delete(request.id);
    wait(request.id, false);
  }
}

/** In its own conversation; another one may be shown by now. */
async function askAgain(conversation: string, wish: Wish): Promise<void> {
  await open(conversation);
  if (shown.value.id === conversation && !shown.value.loading) await ask(wish);
}

function requested(at: Shown, wish: Wish): Ask {
  const { parent, text, pictures } = wish;
  const ask: Ask = { id: `ans_${token()}`, parent, model: modelOf(at), stream: preferences.value.streaming };
  if (wish.continue) ask.continue = true;
  if (text === undefined) return ask;
  const message: Said = { id: `msg_${token()}`, text };
  if (pictures?.length) message.parts = [...pictures];
  return { ...ask, message };
}

/** Show at once what was asked for. */
function show(request: Ask, parts: readonly Part[]): void {
  const created = Date.now() / 1000;
  const common = { model: null, stream: null, usage: null, created };
  const said = request.message;
  const user: Message[] = said
    ? [{ ...common, id: said.id, parent: request.parent, role: "user", text: said.text, parts: [...parts], state: "completed" }]
    : [];
  const parent = said?.id ?? request.parent;
  const answer: Message = { ...common, id: request.id, parent, role: "assistant", text: "", parts: [], model: request.model, state: null };
  batch(() => {
    unsent.value = [...unsent.value, ...user, answer];
    leaf.value = answer.id;
  });
}

async function submit(at: Shown, request: Ask, signal: AbortSignal): Promise<void> {
  const how = { signal, timeout: preferences.value.timeout * 1000 };
  if (!at.saved) {
    const title = (request.message?.text ?? "").replace(/\s+/g, " ").trim().slice(0, TITLE);
    await persistently((until) => conversations.create(at.id, title, at.settings, until), how);
    if (shown.value.id === at.id) save(title);
  }
  const done = (): Promise<boolean> => taken(at.id, request.id, how);
  const asked = await persistently((until) => conversations.ask(at.id, request, until), { ...how, done });
  if (asked) confirm(at.id, confirmed(asked));
}

/** Whether the server has what was asked. That is in its own conversation; another one may be shown by now. */
async function taken(conversation: string, answer: string, { signal, timeout }: Trying): Promise<boolean> {
  try {
    const { messages } = await conversations.read(conversation, AbortSignal.any([signal, AbortSignal.timeout(timeout)]));
    if (!messages.some((message) => message.id === answer)) return false;
  } catch {
    return false;
  }
  if (shown.value.id === conversation) await refresh(signal);
  return true;
}

const confirmed = ({ message, answer }: Asked): Message[] => (message ? [message, answer] : [answer]);

function save(title: string): void {
  shown.value = { ...shown.value, title, saved: true };
  history.replaceState(null, "", `#${shown.value.id}`);
}

/** Take back what the server has not taken; what was written is written still. */
function withdraw(request: Ask, wish: Wish): void {
  const gone = new Set([request.id, request.message?.id]);
  batch(() => {
    unsent.value = unsent.value.filter((message) => !gone.has(message.id));
    if (leaf.value === request.id) leaf.value = request.parent;
  });
  if (wish.text !== undefined) restore(wish.text, wish.pictures ?? []);
  void refresh();
}

function wait(id: string, waiting: boolean): void {
  const others = [...awaited.value].filter((other) => other !== id);
  awaited.value = new Set(waiting ? [...others, id] : others);
}

/** Stop the answers that grow in the shown branch. */
export async function stop(): Promise<void> {
  if (growing.value.some((message) => message.stream === null)) await refresh(AbortSignal.timeout(SOON));
  await Promise.all(growing.value.map(stopOne));
  keepFocus();
}

async function stopOne(message: Message): Promise<void> {
  const { id, stream } = message;
  if (stream === null) return stops.get(id)?.abort();
  try {
    await persistently((until) => streams.cancel(stream, until), { signal: AbortSignal.timeout(30_000), timeout: 10_000 });
    await refresh();
  } catch (error) {
    tell(error, () => void stopOne(message)); // and none of another conversation's
  }
}
