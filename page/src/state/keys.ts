// Keys that work wherever the focus is.
import { growing } from "./conversation.ts";
import { stop } from "./asking.ts";
import { covered, focusOn, listShown, MESSAGE, SEARCH } from "./screen.ts";

/** Whether a key belongs to an input method that is composing; 229 is how Safari says it. */
export const isComposing = (event: KeyboardEvent): boolean => event.isComposing || event.keyCode === 229;

function toSearch(event: KeyboardEvent): void {
  event.preventDefault();
  listShown.value = true;
  requestAnimationFrame(() => focusOn(SEARCH));
}

function escape(event: KeyboardEvent): void {
  if (document.querySelector("dialog[open], :popover-open")) return; // theirs
  if (covered.value) {
    listShown.value = false;
    return focusOn(MESSAGE);
  }
  if (growing.value.length === 0) return;
  event.preventDefault();
  void stop();
}

export function listenToKeys(): void {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || isComposing(event)) return;
    if (event.key === "Escape") escape(event);
    else if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey) toSearch(event);
  });
}
