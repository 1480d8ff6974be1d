// What of the page is in sight: the list, an editor, a dialog.
import { computed, effect, signal } from "@preact/signals";
import { shown } from "./conversation.ts";

const phone = matchMedia("(max-width: 52rem)");

/** Whether there is room for one thing at a time only. */
export const narrow = signal(phone.matches);
export const listShown = signal(!phone.matches);

phone.addEventListener("change", () => {
  narrow.value = phone.matches;
  listShown.value = !phone.matches;
});

/** The list lies over the conversation, which waits behind it. */
export const covered = computed(() => narrow.value && listShown.value);

/** After something was chosen from a list that lies over the rest. */
export function uncover(): void {
  if (narrow.value) listShown.value = false;
}

/** The message that is being edited. */
export const editing = signal<string | null>(null);

export const settingsShown = signal(false);

export const focusOn = (id: string): void => document.getElementById(id)?.focus();

export const MESSAGE = "message";
export const SEARCH = "search";

const typing = matchMedia("(hover: hover) and (pointer: fine)");

/** Have the focus where one writes when what had it has gone; on a phone that would bring up its keyboard. */
export function keepFocus(): void {
  requestAnimationFrame(() => {
    if (typing.matches && document.activeElement === document.body) focusOn(MESSAGE);
  });
}

effect(() => {
  const { title } = shown.value;
  document.title = title ? `${title} – Headrace` : "Headrace";
});
