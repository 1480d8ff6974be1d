// The list of conversations, as the server has it.
import { signal } from "@preact/signals";
import { conversations, type Summary } from "../api.ts";
import { leave, shown } from "./conversation.ts";
import { tell } from "./notice.ts";

export const summaries = signal<readonly Summary[]>([]);
export const search = signal("");
export const hasMore = signal(false);

let latest = new AbortController();

/** What was searched for when the list was fetched. */
let sought = "";

/** Fetch the list's beginning anew, as far as it has been seen. */
export async function list(): Promise<void> {
  const found = await page("");
  if (!found) return;
  const ids = new Set(found.data.map((summary) => summary.id));
  const oldest = found.data.at(-1)?.updated ?? 0;
  const goesOn = found.has_more && sought === search.value;
  const beyond = goesOn ? summaries.value.filter((one) => one.updated < oldest && !ids.has(one.id)) : [];
  take([...found.data, ...beyond], found.has_more);
}

/** The conversations in which something is said, or those of which the title says it. */
export async function find(text: string): Promise<void> {
  search.value = text;
  const found = await page("");
  if (found) take(found.data, found.has_more);
}

export async function more(): Promise<void> {
  const found = await page(summaries.value.at(-1)?.id ?? "");
  if (!found) return;
  const ids = new Set(summaries.value.map((summary) => summary.id));
  take([...summaries.value, ...found.data.filter((summary) => !ids.has(summary.id))], found.has_more);
}

function take(listed: readonly Summary[], more: boolean): void {
  sought = search.value;
  summaries.value = listed;
  hasMore.value = more;
}

/** One page; null where a later call has overtaken this one, or it failed. */
async function page(before: string) {
  latest.abort();
  const mine = (latest = new AbortController());
  try {
    const found = await conversations.list(search.value, before, mine.signal);
    return mine.signal.aborted ? null : found;
  } catch (error) {
    if (!mine.signal.aborted) tell(error, () => void list());
    return null;
  }
}

export async function rename(id: string, title: string): Promise<void> {
  const before = summaries.value.find((one) => one.id === id)?.title ?? "";
  entitle(id, title);
  await conversations.change(id, { title }).catch((error: unknown) => {
    entitle(id, before, title);
    tell(error);
  });
}

/** Show another title of a conversation, in the list and where it is open; only in place of `old`, where that is given. */
function entitle(id: string, title: string, old?: string): void {
  const changes = (one: { id: string; title: string }): boolean => one.id === id && (old === undefined || one.title === old);
  summaries.value = summaries.value.map((one) => (changes(one) ? { ...one, title } : one));
  if (changes(shown.value)) shown.value = { ...shown.value, title };
}

export async function remove(id: string): Promise<void> {
  try {
    await conversations.remove(id);
  } catch (error) {
    return tell(error, () => void remove(id));
  }
  drop(id);
}

/** A conversation is gone, here or from another device. */
export function drop(id: string): void {
  summaries.value = summaries.value.filter((one) => one.id !== id);
  if (shown.value.id === id) leave();
}
