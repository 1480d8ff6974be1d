// Asking and stopping while a server hangs: it is given up and asked again, for the conversation that it was about.
import assert from "node:assert/strict";
import { test } from "node:test";
import { serve } from "./window.ts";
import { Unreachable } from "../../page/src/headrace.ts";
import { regenerate, send, stop } from "../../page/src/state/asking.ts";
import { begin, leaf, shown } from "../../page/src/state/conversation.ts";
import { draft } from "../../page/src/state/draft.ts";
import { explained, notice } from "../../page/src/state/notice.ts";
import { pause } from "../../page/src/state/trying.ts";

const ANSWER = { id: "ans_1", parent: null, role: "assistant", text: "", parts: [], model: "m", stream: "st_1", usage: null, created: 1 };
const LIMIT = { timeout: 10_000 };

/** Show an answer that grows, of a stream that the server has. */
function grow(): void {
  begin();
  shown.value = { ...shown.value, saved: true, messages: [{ ...ANSWER, role: "assistant", state: null }] };
  leaf.value = ANSWER.id;
}

/** Have the server refuse everything but to tell of the conversation `id`; returns what was called. */
function refuse(id: string): string[] {
  const called: string[] = [];
  const kept = { ...shown.value };
  globalThis.fetch = (path, { method = "GET" } = {}) => {
    called.push(`${method} ${String(path)}`);
    const told = method === "GET" && String(path).includes(id);
    return Promise.resolve(told ? Response.json(kept) : Response.json({}, { status: 409 }));
  };
  return called;
}

const settled = (): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, 50));

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

test("what was not taken is put before what has been written since", LIMIT, async () => {
  begin();
  draft.value = { text: "", pictures: [] };
  refuse(shown.value.id);
  const sending = send("a long question", [{ type: "image", data_url: "data:,a" }]);
  draft.value = { text: "the next one", pictures: [{ type: "image", data_url: "data:,b" }] };
  await sending;
  assert.equal(draft.value.text, "a long question\n\nthe next one");
  assert.deepEqual(draft.value.pictures.map((part) => part.type === "image" && part.data_url), ["data:,a", "data:,b"]);
});

test("to try a stop again stops no answer of another conversation", LIMIT, async () => {
  grow();
  const called = refuse(shown.value.id);
  await stop();
  grow();
  shown.value = { ...shown.value, messages: [{ ...ANSWER, id: "ans_2", stream: "st_2", role: "assistant", state: null }] };
  leaf.value = "ans_2";
  notice.value?.again?.();
  await settled();
  assert.deepEqual(called.filter((each) => each.includes("cancel")), Array(2).fill("POST /v1/streams/st_1/cancel"));
});

test("to try an answer again asks in its own conversation, though another one is shown", LIMIT, async () => {
  grow();
  const { id } = shown.value;
  const called = refuse(id);
  await regenerate({ ...ANSWER, role: "assistant", state: "failed" });
  begin();
  notice.value?.again?.();
  await settled();
  assert.deepEqual(called.filter((each) => each.startsWith("POST")), Array(2).fill(`POST /api/conversations/${id}/answers`));
  assert.equal(shown.value.id, id);
});

test("a server that stays away is no fault of the page", () => {
  assert.equal(explained(new Unreachable("away")), "The server cannot be reached.");
});

test("what was stopped before it has to wait does not wait", LIMIT, async () => {
  await assert.rejects(pause(3000, AbortSignal.abort()), { name: "AbortError" });
});
