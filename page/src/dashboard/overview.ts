// What the server says of itself each second, and the last minutes of it.
import { computed, signal } from "@preact/signals";
import type { State } from "../api.ts";
import { follow, type State as Link } from "../headrace.ts";
import { isOver } from "../state/session.ts";

export interface Stream {
  id: string;
  owner?: string;
  model: string;
  dialect: string;
  upstream: string;
  state: State | "open";
  created: number;
  age: number; // seconds
  records: number;
  bytes: number;
  rate: number; // records per second
  readers: number;
  reason?: string;
}

/** Seconds; null where nothing was measured. */
export interface Spread {
  p50: number | null;
  p99: number | null;
}

export interface Store {
  name: string;
  kind: string;
  healthy: boolean;
  since: number;
}

export interface Overview {
  time: number;
  version: string;
  uptime: number; // seconds
  workers: number;
  streams: Stream[];
  open: number;
  readers: number;
  first: { upstream: Spread | null; added: Spread | null };
  between: { upstream: Spread | null; ours: Spread | null };
  ended: Record<State, number>;
  errors: { reason: string; count: number }[];
  loop_lag: { p99: number | null };
  stores: Store[];
  memory: number | null; // bytes
}

/** What the plots show of it. Its streams are by far the most of it, and kept of the last one alone. */
export type Moment = Pick<Overview, "time" | "first" | "between"> & Record<"open" | "readers", number | null>;

/** How many seconds the plots show. */
export const SHOWN = 300;

/** Seconds without news after which the plots' lines end: news come each second. */
const SILENCE = 5;

export const overview = signal<Overview | null>(null);

/** The last minutes, the oldest moment first. */
export const history = signal<readonly Moment[]>([]);

export const link = signal<Link>("connecting");

/** Why nothing more is heard. */
export const broken = signal<unknown>(null);

/** Records per second, of all streams that are shown. */
export const rate = computed(() => overview.value?.streams.reduce((sum, stream) => sum + stream.rate, 0) ?? 0);

let latest = new AbortController();

/** Listen for as long as the page is there, or until somebody listens anew. */
export async function listen(): Promise<void> {
  latest.abort();
  const { signal } = (latest = new AbortController());
  broken.value = null;
  const onstate = (state: Link): void => void (link.value = state);
  try {
    for await (const { event, data } of follow("/api/overview", { patience: Infinity, onstate, signal }))
      if (event === "overview") take(JSON.parse(data) as Overview);
  } catch (error) {
    if (!signal.aborted && !isOver(error)) broken.value = error;
  }
}

export function take(told: Overview): void {
  overview.value = told;
  const { time, open, readers, first, between } = told;
  const before = history.value.filter((moment) => moment.time > time - SHOWN && moment.time < time);
  const last = before.at(-1)?.time ?? time;
  const gap = time - last > SILENCE ? [unheard(last + 1)] : [];
  history.value = [...before, ...gap, { time, open, readers, first, between }];
}

/** A moment of which nothing is known. */
const unheard = (time: number): Moment => ({
  time,
  open: null,
  readers: null,
  first: { upstream: null, added: null },
  between: { upstream: null, ours: null },
});
