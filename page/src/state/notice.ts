// What went wrong with something that was asked for, and what can be done now.
import { signal } from "@preact/signals";
import { UNREACHED } from "../api.ts";
import { Refused, Unreachable } from "../headrace.ts";
import { words } from "../words.ts";
import { isOver } from "./session.ts";

export interface Notice {
  text: string;
  again?: () => void;
}

export const notice = signal<Notice | null>(null);

/** What an error says to a person. */
export function explained(error: unknown): string {
  const said = words.value;
  if (error instanceof Unreachable || (error instanceof DOMException && error.name === "TimeoutError")) return said.unreachable;
  if (!(error instanceof Refused)) return said.failedHere;
  if (error.status === UNREACHED) return said.unreachable;
  const known: Record<number, string> = { 401: said.sessionOver, 404: said.notFound, 413: said.tooLarge, 429: said.tooMany };
  const own = known[error.status] ?? (error.status >= 500 ? said.serverFailed : said.refused);
  return error.message && error.status !== 401 && error.status !== 404 ? `${own} ${error.message}` : own;
}

/** Tell of an error, and offer to try again. */
export function tell(error: unknown, again?: () => void): void {
  if (isOver(error)) return;
  notice.value = again ? { text: explained(error), again } : { text: explained(error) };
}

export function dismiss(): void {
  notice.value = null;
}
