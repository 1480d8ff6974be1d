import assert from "node:assert/strict";
import { test } from "node:test";
import type { Summary } from "../../page/src/api.ts";
import { byPeriod, periodOf } from "../../page/src/model/days.ts";
import { Rate } from "../../page/src/model/rate.ts";

const NOW = new Date(2026, 10, 21, 9, 0);
const at = (day: number, hour = 12): number => new Date(2026, 10, day, hour).getTime() / 1000;

test("periods go by days and not by hours", () => {
  assert.deepEqual([at(21, 0), at(20, 23), at(20, 0), at(19, 23), at(14), at(13)].map((time) => periodOf(time, NOW)), [
    "today", "yesterday", "yesterday", "week", "week", "older",
  ]);
});

test("conversations keep their order within their periods", () => {
  const summary = (id: string, day: number): Summary => ({ id, title: id, created: 0, updated: at(day, 1), model: "", open: false });
  const groups = byPeriod([summary("a", 21), summary("b", 21), summary("c", 1)], NOW);
  assert.deepEqual(groups.map(([period, group]) => [period, ...group.map(({ id }) => id)]), [["today", "a", "b"], ["older", "c"]]);
});

test("a rate counts from the first pieces, and only after a while", () => {
  const rate = new Rate();
  rate.count(0, 0);
  rate.count(1, 1000);
  rate.count(10, 1200);
  rate.count(20, 1600);
  assert.equal(rate.perSecond, null);
  rate.count(100, 3000);
  assert.equal(rate.perSecond, 50);
});

test("what came at once, when a stream was rejoined, is not counted as fast", () => {
  const rate = new Rate();
  rate.count(5000, 0);
  rate.count(5100, 1000);
  assert.equal(rate.perSecond, 100);
});

test("nor is what came at once but one piece after the other", () => {
  const rate = new Rate();
  for (let piece = 1; piece <= 5000; piece += 1) rate.count(piece, piece / 50);
  rate.count(5002, 200);
  for (let piece = 5003; piece <= 5102; piece += 1) rate.count(piece, 200 + (piece - 5002) * 20);
  assert.equal(rate.perSecond, 50);
});
