// How an answer ended, in words, and whether it can go on.
import type { Message } from "../api.ts";
import { words } from "../words.ts";

/** Why an answer is not whole; null for one that is, or that still grows. */
export function cutOf({ state, reason = "", text }: Message): string | null {
  const said = words.value;
  switch (state) {
    case null:
      return null;
    case "completed":
      return reason === "length" ? said.cutLength : null;
    case "cancelled":
      return reason === "abandoned" ? said.cutAbandoned : said.cutCancelled;
    case "interrupted":
      return text ? said.cutInterrupted : `${said.cutInterrupted} ${said.cutEmpty}`;
    case "failed":
      return (said.reasons as Partial<Record<string, string>>)[reason] ?? said.cutFailed;
  }
}

/** Whether an answer can go on from where it was cut. */
export function canGoOn({ state, reason, text }: Message): boolean {
  if (!text) return false;
  return state === "completed" ? reason === "length" : state !== null;
}
