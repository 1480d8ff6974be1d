// The list of conversations, when searches, changes and further pages come at once.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import "./window.ts";
import type { Summary } from "../../page/src/api.ts";
import { shown } from "../../page/src/state/conversation.ts";
import { find, list, more, rename, summaries } from "../../page/src/state/library.ts";

const summary = (id: string, updated: number): Summary => ({ id, title: id, created: 0, updated, model: "", open: false });
const ids = (): string[] => summaries.value.map(({ id }) => id);

/** Have the server list these, and say that there are more; calls that are given up end. */
function lists(found: (search: string, before: string) => Summary[]): void {
  globalThis.fetch = async (path, { signal } = {}) => {
    const { searchParams } = new URL(String(path), "http://server");
    await new Promise((resolve) => setTimeout(resolve, 5));
    signal?.throwIfAborted();
    return Response.json({ data: found(searchParams.get("search")!, searchParams.get("before")!), has_more: true });
  };
}

beforeEach(async () => {
  lists(() => [summary("new", 9), summary("old", 2)]);
  await find("");
});

test("a change during a search brings nothing into the list that was not searched for", async () => {
  lists((search) => (search ? [summary("found", 5)] : [summary("new", 9)]));
  await Promise.all([find("found"), list()]);
  assert.deepEqual(ids(), ["found"]);
});

test("a change leaves the further pages of the same list", async () => {
  lists(() => [summary("newer", 10), summary("new", 9)]);
  await list();
  assert.deepEqual(ids(), ["newer", "new", "old"]);
});

test("a further page that tells of what is listed already lists it once", async () => {
  lists((_, before) => (before === "old" ? [summary("new", 9), summary("oldest", 1)] : []));
  await more();
  assert.deepEqual(ids(), ["new", "old", "oldest"]);
});

test("a name that is not taken goes back, and leaves what came meanwhile", async () => {
  const listing = globalThis.fetch;
  let refuse = (): void => {};
  globalThis.fetch = () => new Promise((resolve) => (refuse = () => resolve(new Response(null, { status: 500 }))));
  shown.value = { ...shown.value, id: "old", title: "old" };
  const renamed = rename("old", "other");
  assert.deepEqual([summaries.value.map(({ title }) => title), shown.value.title], [["new", "other"], "other"]);
  summaries.value = [summary("newer", 10), ...summaries.value];
  refuse();
  await renamed;
  assert.deepEqual(summaries.value.map(({ title }) => title), ["newer", "new", "old"]);
  assert.equal(shown.value.title, "old");
  globalThis.fetch = listing;
});
