// How long the upstreams take, what we add to it, and how much there is to do.
import { count, duration } from "./format.ts";
import { overview, type Moment, type Spread } from "./overview.ts";
import { Plot, type Line } from "./plot.tsx";
import { words } from "./words.ts";

type Pick = (moment: Moment) => Spread | null;

/** Median and 99th percentile of two sides, as four lines. */
function spreads(sides: readonly (readonly [string, Line["kind"], Pick])[]): Line[] {
  const told = overview.value;
  return sides.flatMap(([name, kind, pick]) =>
    (["p50", "p99"] as const).map((share) => ({
      name: `${name} ${share}`,
      now: duration(told && pick(told)?.[share]),
      kind,
      faint: share === "p99",
      value: (moment) => pick(moment)?.[share],
    })),
  );
}

export function Plots() {
  const said = words.value;
  const told = overview.value;
  const first = spreads([
    [said.upstream, "upstream", ({ first }) => first.upstream],
    [said.added, "ours", ({ first }) => first.added],
  ]);
  const between = spreads([
    [said.upstream, "upstream", ({ between }) => between.upstream],
    [said.ours, "ours", ({ between }) => between.ours],
  ]);
  const load: Line[] = [
    { name: said.open, now: count(told?.open ?? 0), kind: "ours", value: ({ open }) => open },
    { name: said.readers, now: count(told?.readers ?? 0), kind: "upstream", faint: true, value: ({ readers }) => readers },
  ];
  return (
    <section class="plots" aria-label={said.plots}>
      <Plot title={said.first} lines={first} scale="logarithmic" format={duration} />
      <Plot title={said.between} lines={between} scale="logarithmic" format={duration} />
      <Plot title={said.load} lines={load} scale="linear" format={count} />
    </section>
  );
}
