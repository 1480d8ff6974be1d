// Who is here: whether the server wants a key, and whether it has got one.
import { computed, signal } from "@preact/signals";
import { session as calls, type Session } from "../api.ts";
import { Refused } from "../headrace.ts";

export const session = signal<Session | null>(null);

/** Whether the page may ask for anything. */
export const admitted = computed(() => session.value !== null && (!session.value.protected || session.value.signed_in));

export async function look(): Promise<void> {
  session.value = await calls.look();
}

/** The browser has not kept the session that the server gave it. */
export class Unkept extends Error {}

/** Exchange a key for a session. Throws Refused where it is none, and Unkept where the session is not kept. */
export async function signIn(key: string): Promise<void> {
  const before = session.value?.owner ?? null;
  await calls.enter(key);
  const found = await calls.look();
  if (found.protected && !found.signed_in) throw new Unkept();
  // What one person's session has left on this page is not for the next one.
  if (before !== null && found.owner !== before) return location.reload();
  session.value = found;
}

export async function signOut(): Promise<void> {
  await calls.leave();
  location.reload();
}

/** Whether an error says that the session is over; then the page asks for a key again. */
export function isOver(error: unknown): boolean {
  if (!(error instanceof Refused) || error.status !== 401) return false;
  if (session.value) session.value = { ...session.value, protected: true, signed_in: false };
  return true;
}
