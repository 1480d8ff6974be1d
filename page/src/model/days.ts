// The list of conversations by the days on which they were last changed.
import type { Summary } from "../api.ts";

export type Period = "today" | "yesterday" | "week" | "older";

const DAY = 86_400_000;

/** The period of a time in seconds, seen from `now`, in this place's days. */
export function periodOf(seconds: number, now: Date): Period {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
  const time = seconds * 1000;
  if (time >= midnight) return "today";
  if (time >= midnight - DAY) return "yesterday";
  return time >= midnight - 7 * DAY ? "week" : "older";
}

/** The conversations in groups, in the order that they have. */
export function byPeriod(summaries: readonly Summary[], now: Date): [Period, Summary[]][] {
  const groups = new Map<Period, Summary[]>();
  for (const summary of summaries) {
    const period = periodOf(summary.updated, now);
    groups.set(period, [...(groups.get(period) ?? []), summary]);
  }
  return [...groups];
}
