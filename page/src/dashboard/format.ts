// Numbers as people read them: few digits, and a unit where there is one.
import { words } from "./words.ts";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long, in its two largest units, in the language that is shown: `2 h 5 min`. */
export function age(seconds: number): string {
  const { s, min, h, d } = words.value.units;
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE) return `${whole} ${s}`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} ${min} ${whole % MINUTE} ${s}`;
  if (whole < DAY) return `${Math.floor(whole / HOUR)} ${h} ${Math.floor((whole % HOUR) / MINUTE)} ${min}`;
  return `${Math.floor(whole / DAY)} ${d} ${Math.floor((whole % DAY) / HOUR)} ${h}`;
}

/** A short time: `420 µs`, `12 ms`, `1.3 s`; a dash where there is none. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${digits(seconds * 1000)} ms`;
  return `${digits(seconds)} s`;
}

const UNITS = ["B", "KB", "MB", "GB", "TB"];

export function bytes(count: number | null): string {
  if (count === null) return "–";
  const unit = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, count)) / 3));
  return `${digits(count / 1000 ** unit)} ${UNITS[unit]}`;
}

/** Three digits at most behind which nothing is of interest. */
export const digits = (value: number): string => (value < 10 ? value.toFixed(1).replace(/\.0$/, "") : Math.round(value).toString());

/** A count, in groups of three. */
export const count = (value: number): string => Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");
