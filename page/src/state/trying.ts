// Calls that may be repeated are repeated until the server is there again.
import { signal } from "@preact/signals";
import { UNREACHED } from "../api.ts";
import { Refused } from "../headrace.ts";

/** Nobody is there, or somebody in front of the server says so. */
const AWAY = new Set([UNREACHED, 502, 503, 504]);
const FIRST = 400; // milliseconds
const LONGEST = 8000;

export interface Trying {
  signal: AbortSignal;
  timeout: number; // milliseconds that one attempt may take
  /** Whether an attempt that took too long need not be repeated. */
  done?: () => Promise<boolean>;
}

/** Whether something is being tried again now. */
export const retrying = signal(false);

const isAway = (error: unknown): boolean => error instanceof Refused && AWAY.has(error.status);

/** Call until there is an answer; null where `done` says that none is needed. Throws what refuses, and when stopped. */
export async function persistently<Reply>(run: (signal: AbortSignal) => Promise<Reply>, how: Trying): Promise<Reply | null> {
  try {
    return await attempts(run, how);
  } finally {
    retrying.value = false;
  }
}

async function attempts<Reply>(run: (signal: AbortSignal) => Promise<Reply>, how: Trying): Promise<Reply | null> {
  for (let attempt = 0; ; attempt += 1) {
    const late = AbortSignal.timeout(how.timeout);
    try {
      return await run(AbortSignal.any([how.signal, late]));
    } catch (error) {
      how.signal.throwIfAborted();
      if (!late.aborted && !isAway(error)) throw error;
      if (late.aborted && (await how.done?.())) return null;
    }
    retrying.value = true;
    await pause(Math.min(LONGEST, FIRST * 2 ** attempt), how.signal);
  }
}

/** Wait, but no longer than until the network comes back. Throws when stopped. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted(); // it would not say so again
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const end = (settle: () => void) => () => {
      clearTimeout(timer);
      over.abort();
      settle();
    };
    const timer = setTimeout(end(resolve), milliseconds);
    addEventListener("online", end(resolve), { signal: over.signal });
    signal.addEventListener("abort", end(() => reject(signal.reason as Error)), { signal: over.signal });
  });
}
