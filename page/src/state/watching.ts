// Changes that are made elsewhere: by another tab, another device, or by an answer that ends.
import { effect, signal, untracked } from "@preact/signals";
import { conversations } from "../api.ts";
import { follow, Refused, type State as Link } from "../headrace.ts";
import { preferences } from "../preferences.ts";
import { refresh, shown } from "./conversation.ts";
import { drop, list } from "./library.ts";
import { rejoinWaiting } from "./live.ts";
import { tell } from "./notice.ts";
import { admitted } from "./session.ts";

export const link = signal<Link>("connecting");

/** Milliseconds in which several changes are one reason to look. */
const TOGETHER = 150;

interface Changed {
  id: string;
  deleted?: true;
}

let looking: ReturnType<typeof setTimeout> | null = null;
let moved = false;

function look(shownMoved: boolean): void {
  moved ||= shownMoved;
  looking ??= setTimeout(() => {
    looking = null;
    void list();
    if (moved) void refresh();
    moved = false;
  }, TOGETHER);
}

function take(changed: Changed): void {
  if (changed.deleted) return drop(changed.id);
  look(changed.id === shown.value.id);
}

function turn(state: Link): void {
  link.value = state;
  if (state !== "open") return;
  look(true); // nothing is replayed: what was missed is fetched
  rejoinWaiting();
}

async function watch(signal: AbortSignal): Promise<void> {
  const options = { signal, timeout: preferences.peek().timeout * 1000, patience: Infinity, onstate: turn };
  try {
    for await (const { event, data } of follow(conversations.watched, options)) {
      if (event === "changed") take(JSON.parse(data) as Changed);
    }
  } catch (error) {
    if (!signal.aborted && error instanceof Refused) tell(error);
  }
}

const visible = signal(!document.hidden);
document.addEventListener("visibilitychange", () => (visible.value = !document.hidden));

/** How often the network has come back: what hung is then begun anew. */
const returns = signal(0);
addEventListener("online", () => (returns.value += 1));

/** Watch for as long as the page can be seen: a browser has six connections for all of its tabs. */
export function watchWhileSeen(): () => void {
  return effect(() => {
    if (!admitted.value || !visible.value || returns.value < 0) return;
    untracked(() => void list());
    const leaving = new AbortController();
    void watch(leaving.signal);
    return () => leaving.abort();
  });
}
