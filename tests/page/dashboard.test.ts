// The dashboard's own logic: numbers as people read them, and the minutes that the plots show.
import assert from "node:assert/strict";
import { test } from "node:test";
import { serve } from "./window.ts";
import { age, bytes, count, digits, duration } from "../../page/src/dashboard/format.ts";
import { history, overview, SHOWN, take, type Overview, type Stream } from "../../page/src/dashboard/overview.ts";
import { stop, stopping } from "../../page/src/dashboard/stopping.ts";
import { words } from "../../page/src/dashboard/words.ts";
import { prefer } from "../../page/src/preferences.ts";
import { notice } from "../../page/src/state/notice.ts";
import { words as ofChat } from "../../page/src/words.ts";

test("a time has two units at most, in the language of the page", () => {
  prefer({ language: "zh" });
  assert.deepEqual([5, 60, 7500, 90_000].map(age), ["5 秒", "1 分 0 秒", "2 小时 5 分", "1 天 1 小时"]);
  prefer({ language: "en" });
  const told = [0, 59.9, 60, 3599, 3600, 86_399, 90_000, -1].map(age);
  assert.deepEqual(told, ["0 s", "59 s", "1 min 0 s", "59 min 59 s", "1 h 0 min", "23 h 59 min", "1 d 1 h", "0 s"]);
});

test("a short time has the unit that fits it", () => {
  const told = [null, undefined, 0, 0.00042, 0.001, 0.0125, 0.9, 1, 1.26, 12.6].map(duration);
  assert.deepEqual(told, ["–", "–", "0 µs", "420 µs", "1 ms", "13 ms", "900 ms", "1 s", "1.3 s", "13 s"]);
});

test("amounts have few digits", () => {
  assert.deepEqual([null, 0, 999, 1000, 412_000_000, 5e15].map(bytes), ["–", "0 B", "999 B", "1 KB", "412 MB", "5000 TB"]);
  assert.deepEqual([0, 999, 12_345.6].map(count), ["0", "999", "12\u202f346"]);
  assert.deepEqual([0, 1.04, 9.96, 10.4].map(digits), ["0", "1", "10", "10"]);
});

test("a token has one name on both pages, in both languages", () => {
  for (const language of ["en", "zh"] as const) {
    prefer({ language });
    const unit = ofChat.value.perSecond("").trim().toLowerCase();
    assert.ok(words.value.rate.toLowerCase().endsWith(unit), `${words.value.rate}, ${unit}`);
  }
});

test("a stream that cannot be stopped is told as a stream, and may be tried again", async () => {
  prefer({ language: "en" });
  for (const owner of [undefined, "ann"]) {
    serve(() => new Response(null, { status: 404 }));
    await stop({ id: "st_1", ...(owner && { owner }) } as Stream);
    assert.equal(notice.value?.text, "This stream does not exist, or is not yours.");
    assert.equal(stopping.value.size, 0);
    notice.value = null;
  }
});

const SPREAD = { p50: 0.01, p99: 0.02 };

/** What is told at a time, of a full table of streams. */
function told(time: number): Overview {
  const stream = { id: "st_1", model: "a model", dialect: "openai.chat", upstream: "up", state: "open", records: time };
  const streams = Array.from({ length: 200 }, (_, at) => ({ ...stream, id: `st_${at}` }));
  const times = { first: { upstream: SPREAD, added: SPREAD }, between: { upstream: SPREAD, ours: SPREAD } };
  return { time, streams, open: 200, readers: 3, ...times } as unknown as Overview;
}

test("of what has been, as much is kept as the plots show", () => {
  for (let time = 1; time <= 2 * SHOWN; time += 1) take(told(time));
  assert.equal(overview.value?.streams.length, 200);
  assert.deepEqual([history.value.length, history.value[0]?.time], [SHOWN, SHOWN + 1]);
  assert.deepEqual([history.value.at(-1)?.open, history.value.at(-1)?.between.ours], [200, SPREAD]);
  assert.ok(JSON.stringify(history.value).length < SHOWN * 300);
});

test("where nothing was heard for a while the past has a gap", () => {
  const start = 10 * SHOWN;
  for (const seconds of [0, 1, 4, 100, 101]) take(told(start + seconds));
  const seen = history.value.map(({ time, open, first, between }) => [time - start, open, first.upstream, between.ours]);
  assert.deepEqual(seen, [
    ...[0, 1, 4].map((seconds) => [seconds, 200, SPREAD, SPREAD]),
    [5, null, null, null],
    ...[100, 101].map((seconds) => [seconds, 200, SPREAD, SPREAD]),
  ]);
});
