import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../page/src/api.ts";
import { Tree, turns } from "../../page/src/model/tree.ts";

const message = (id: string, parent: string | null, role: Message["role"], created = 0): Message => ({
  id, parent, role, created, text: id, parts: [], model: null, stream: null, state: "completed", usage: null,
});

const QUESTION = message("q", null, "user", 1);
const ANSWERS = [message("a1", "q", "assistant", 2), message("a2", "q", "assistant", 5)];
const MORE = [message("q2", "a1", "user", 3), message("b", "q2", "assistant", 4)];
const ALL = [...MORE, ...ANSWERS, QUESTION]; // a server may list them in any order

const ids = (messages: readonly Message[]): string[] => messages.map(({ id }) => id);

test("without a leaf, the newest branch is shown", () => {
  assert.deepEqual(ids(new Tree(ALL).path(null)), ["q", "a2"]);
});

test("a leaf in the middle of a branch shows that branch to its end", () => {
  assert.deepEqual(ids(new Tree(ALL).path("a1")), ["q", "a1", "q2", "b"]);
});

test("a leaf that is not there is no leaf", () => {
  assert.deepEqual(ids(new Tree(ALL).path("gone")), ["q", "a2"]);
});

test("versions are those of the same kind below the same message, oldest first", () => {
  const tree = new Tree([...ALL, message("a1more", "a1", "assistant", 9)]);
  assert.deepEqual(ids(tree.beside(ANSWERS[1]!)), ["a1", "a2"]);
  assert.deepEqual(ids(tree.beside(MORE[0]!)), ["q2"]);
});

test("a message whose parent is gone begins a branch, and none is its own parent", () => {
  assert.deepEqual(ids(new Tree([message("x", "gone", "user"), message("y", "x", "assistant")]).path("y")), ["x", "y"]);
  assert.deepEqual(ids(new Tree([message("z", "z", "user")]).path("z")), ["z"]);
});

test("an answer that continues another one is shown as one with it", () => {
  const path = [QUESTION, ANSWERS[0]!, message("more", "a1", "assistant"), message("q3", "more", "user")];
  assert.deepEqual(turns(path).map(({ role, messages }) => [role, ...ids(messages)]), [
    ["user", "q"],
    ["assistant", "a1", "more"],
    ["user", "q3"],
  ]);
});
