// Stopping streams: one's own by its route, those of others by the administrator's.
import { signal } from "@preact/signals";
import { call } from "../api.ts";
import { cancel, Refused } from "../headrace.ts";
import { session } from "../state/session.ts";
import { notice, tell } from "../state/notice.ts";
import type { Stream } from "./overview.ts";
import { words } from "./words.ts";

/** Those that have been told to stop, until the server says that they have. */
export const stopping = signal<ReadonlySet<string>>(new Set());

export async function stop({ id, owner }: Stream): Promise<void> {
  stopping.value = new Set([...stopping.value, id]);
  try {
    if (owner === undefined || owner === session.value?.owner) await cancel(id, { patience: 10_000 });
    else await call("POST", `/api/overview/streams/${encodeURIComponent(id)}/cancel`);
  } catch (error) {
    stopping.value = new Set([...stopping.value].filter((other) => other !== id));
    if (error instanceof Refused && error.status === 404) notice.value = { text: words.value.notFound };
    else tell(error);
  }
}
