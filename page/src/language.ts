// The language that is shown: the one that was chosen, or the browser's.
import { computed, effect, type ReadonlySignal } from "@preact/signals";
import { preferences, type Language } from "./preferences.ts";

/** The same texts in another language: text for text, and a function for a function. */
export type Same<Words> = {
  [Name in keyof Words]: Words[Name] extends string
    ? string
    : Words[Name] extends (...args: infer Args) => string
      ? (...args: Args) => string
      : Same<Words[Name]>;
};

export const language: ReadonlySignal<Language> = computed(
  () => preferences.value.language ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en"),
);

/** The texts in the language that is shown. A missing translation does not compile. */
export function dictionary<Words extends object>(english: Words, chinese: Same<Words>): ReadonlySignal<Same<Words>> {
  return computed(() => (language.value === "zh" ? chinese : (english as Same<Words>)));
}

effect(() => {
  document.documentElement.lang = language.value === "zh" ? "zh-CN" : "en";
});
