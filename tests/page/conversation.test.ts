// The conversation that is shown: what the browser's history knows of it, and replies that come in another order.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import "./window.ts";
import type { Message } from "../../page/src/api.ts";
import { begin, leaf, open, refresh, shown } from "../../page/src/state/conversation.ts";
import { drop } from "../../page/src/state/library.ts";

/** What going back leads to, the latest last. */
let visited: string[] = [];

const go = (address: string): void => void (location.hash = address.startsWith("#") ? address : "");
const there = (): string => visited.at(-1) ?? "";

Object.assign(history, {
  pushState: (_: unknown, __: string, address: string) => (visited.push(address), go(address)),
  replaceState: (_: unknown, __: string, address: string) => ((visited[visited.length - 1] = address), go(address)),
});

const message = (id: string): Message => ({
  id, parent: null, role: "user", text: id, parts: [], model: null, stream: null, state: "completed", usage: null, created: 1,
});

beforeEach(() => {
  visited = ["/"];
  go("/");
  begin();
});

test("who goes back from a conversation that is gone is not led there again", async () => {
  globalThis.fetch = () => Promise.resolve(Response.json({}, { status: 404 }));
  await open("conv_gone");
  assert.deepEqual([visited, location.hash, shown.value.saved], [["/", "/"], "", false]);
});

test("nor to one that was deleted while it was shown", async () => {
  globalThis.fetch = () => Promise.resolve(Response.json({ ...shown.value }));
  await open("conv_1");
  assert.equal(there(), "#conv_1");
  drop("conv_1");
  assert.deepEqual(visited, ["/", "/"]);
});

test("to come back to a new conversation is no further step", () => {
  shown.value = { ...shown.value, saved: true };
  begin();
  assert.deepEqual(visited, ["/"]);
  go("#conv_1");
  begin();
  assert.deepEqual(visited, ["/", "/"]);
});

test("a reply that was overtaken by a newer one brings nothing older back", async () => {
  const replies: ((messages: Message[]) => void)[] = [];
  shown.value = { ...shown.value, saved: true };
  const kept = { ...shown.value };
  globalThis.fetch = () =>
    new Promise((resolve) => {
      replies.push((messages) => resolve(Response.json({ ...kept, messages, leaf: messages.at(-1)!.id })));
    });
  const both = [refresh(), refresh()];
  replies[1]!([message("first"), message("second")]);
  await both[1];
  replies[0]!([message("first")]);
  await both[0];
  assert.deepEqual([shown.value.messages.length, leaf.value], [2, "second"]);
});
