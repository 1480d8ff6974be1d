// What this browser remembers: preferences, and nothing of any conversation.
import { effect, signal, type Signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
export type Language = "en" | "zh";

const NAME = "headrace";

export interface Preferences {
  theme: Theme;
  language: Language | null; // null: the browser's
  model: string;
  streaming: boolean;
  timeout: number; // seconds without a byte
}

const DEFAULTS: Preferences = {
  theme: "system",
  language: null,
  model: "",
  streaming: true,
  timeout: 30,
};

const KINDS = new Map<string, string>(Object.entries(DEFAULTS).map(([name, value]) => [name, typeof value]));

/** Whether a preference is one of ours, of the kind that it has now. */
function isKnown([name, value]: [string, unknown]): boolean {
  if (name === "language") return value === "en" || value === "zh";
  return KINDS.get(name) === typeof value && value !== null;
}

function stored(): Preferences {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(NAME) ?? "{}");
    return { ...DEFAULTS, ...Object.fromEntries(Object.entries(found ?? {}).filter(isKnown)) };
  } catch {
    return DEFAULTS; // no storage, or none that we wrote
  }
}

export const preferences: Signal<Preferences> = signal(stored());

/** Change some of the preferences, in other tabs too. */
export function prefer(change: Partial<Preferences>): void {
  preferences.value = { ...preferences.value, ...change };
  try {
    localStorage.setItem(NAME, JSON.stringify(preferences.value));
  } catch {
    // a browser without storage forgets them
  }
}

addEventListener("storage", (event) => {
  if (event.key === NAME) preferences.value = stored();
});

effect(() => {
  const { theme } = preferences.value;
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
});
