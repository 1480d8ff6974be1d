import assert from "node:assert/strict";
import { test } from "node:test";
import { Growing } from "../../page/src/model/growing.ts";

function grown(...frames: object[]): Growing {
  const growing = new Growing();
  for (const frame of frames) growing.take(JSON.stringify(frame));
  return growing;
}

test("text and reasoning grow apart", () => {
  const { text, reasoning, pieces } = grown(
    { type: "start", messageId: "m" },
    { type: "reasoning-delta", id: "t0", delta: "hm" },
    { type: "text-delta", id: "t1", delta: "a" },
    { type: "text-delta", id: "t1", delta: "b" },
  );
  assert.deepEqual([text, reasoning, pieces], ["ab", "hm", 3]);
});

test("a call's arguments grow, and the whole of them that follows is not added", () => {
  const { tools } = grown(
    { type: "tool-input-start", toolCallId: "1", toolName: "f" },
    { type: "tool-input-delta", toolCallId: "1", inputTextDelta: '{"a"' },
    { type: "tool-input-delta", toolCallId: "1", inputTextDelta: ":1}" },
    { type: "tool-input-available", toolCallId: "1", toolName: "f", input: { a: 1 } },
    { type: "tool-input-available", toolCallId: "2", toolName: "g", input: {} },
  );
  assert.deepEqual(tools, [
    { id: "1", name: "f", arguments: '{"a":1}' },
    { id: "2", name: "g", arguments: "{}" },
  ]);
});

test("each end is told as what it is", () => {
  assert.equal(grown({ type: "text-delta", delta: "a" }).ending, null);
  assert.deepEqual(grown({ type: "finish", finishReason: "length" }).ending, { state: "completed", reason: "length" });
  assert.equal(grown({ type: "abort", reason: "…" }).ending?.state, "cancelled");
  assert.equal(grown({ type: "error", errorText: "…" }).ending?.state, "failed");
});

test("usage says whether it is an estimate", () => {
  const usage = { inputTokens: 3, outputTokens: 4, totalTokens: 7, estimated: true };
  assert.deepEqual(grown({ type: "finish", messageMetadata: { usage } }).usage, { input: 3, output: 4, exact: false });
});

test("what is no frame changes nothing", () => {
  const growing = new Growing();
  for (const data of ["[DONE]", "{", "null", "[]", '"text-delta"', '{"type":"data-x"}']) growing.take(data);
  assert.deepEqual([growing.text, growing.pieces, growing.ending], ["", 0, null]);
});
