// Asking and stopping while a server hangs: it is given up and asked again, for the conversation that it was about.
import assert from "node:assert/strict";
import { test } from "node:test";
import { serve } from "./window.ts";
import { send, stop } from "../../page/src/state/asking.ts";
import { begin, leaf, shown } from "../../page/src/state/conversation.ts";
import { draft } from "../../page/src/state/draft.ts";

const ANSWER = { id: "ans_1", parent: null, role: "assistant", text: "", parts: [], model: "m", stream: "st_1", usage: null, created: 1 };
const LIMIT = { timeout: 10_000 };

/** Show an answer that grows, of a stream that the server has. */
function grow(): void {
  begin();
  shown.value = { ...shown.value, saved: true, messages: [{ ...ANSWER, role: "assistant", state: null }] };
  leaf.value = ANSWER.id;
}

const count = (called: readonly string[], what: RegExp): number => called.filter((each) => what.test(each)).length;

test("a message is sent on when another conversation is shown meanwhile", LIMIT, async () => {
  begin();
  const { id } = shown.value;
  const asks = new RegExp(`POST .*${id}/answers`);
  const called = serve((method, path) => {
    if (method === "GET") return { id, messages: [] };
    if (!path.endsWith("/answers")) return {};
    if (count(called, asks) > 1) return { message: null, answer: ANSWER };
    setTimeout(begin, 10);
    return null;
  });
  await send("hello", []);
  assert.equal(count(called, asks), 2);
  assert.notEqual(shown.value.id, id);
});

test("a message that has arrived is not sent again", LIMIT, async () => {
  begin();
  const { id } = shown.value;
  const called = serve((method, path) => {
    if (method === "GET") return { ...shown.value, messages: shown.value.id === id ? [{ ...ANSWER, id: leaf.value }] : [] };
    return path.endsWith("/answers") ? null : {};
  });
  await send("hello", []);
  assert.equal(count(called, /answers/), 1);
});

test("a stop that is not answered is tried again", LIMIT, async () => {
  grow();
  const called = serve((method, path) => {
    if (!path.endsWith("/cancel")) return { ...shown.value };
    return count(called, /cancel/) > 1 ? { cancelled: true, state: "cancelled" } : null;
  });
  await stop();
  assert.equal(count(called, /cancel/), 2);
});

test("what the server does not take is stopped though nothing is answered", LIMIT, async () => {
  begin();
  serve((method, path) => (method === "POST" && path === "/api/conversations" ? {} : null));
  const sending = send("hello", []);
  await new Promise((resolve) => setTimeout(resolve, 20));
  await stop();
  await sending;
  assert.equal(draft.value.text, "hello");
});
