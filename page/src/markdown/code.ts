// Code blocks: coloured when they are finished and the page has nothing better to do, and copied by a button.
import type { HLJSApi, LanguageFn } from "highlight.js";
import { sanitized } from "./sanitize.ts";
import { words } from "./words.ts";

/** Characters; colouring more would hold up the page. */
const LONGEST = 20_000;
/** Milliseconds for which a button says that it has copied. */
const SAID = 1500;

type Loaded = () => Promise<{ default: LanguageFn }>;

const LANGUAGES: Record<string, Loaded> = {
  bash: () => import("highlight.js/lib/languages/bash"),
  cpp: () => import("highlight.js/lib/languages/cpp"),
  css: () => import("highlight.js/lib/languages/css"),
  diff: () => import("highlight.js/lib/languages/diff"),
  dockerfile: () => import("highlight.js/lib/languages/dockerfile"),
  go: () => import("highlight.js/lib/languages/go"),
  ini: () => import("highlight.js/lib/languages/ini"),
  java: () => import("highlight.js/lib/languages/java"),
  json: () => import("highlight.js/lib/languages/json"),
  python: () => import("highlight.js/lib/languages/python"),
  rust: () => import("highlight.js/lib/languages/rust"),
  sql: () => import("highlight.js/lib/languages/sql"),
  typescript: () => import("highlight.js/lib/languages/typescript"),
  xml: () => import("highlight.js/lib/languages/xml"),
  yaml: () => import("highlight.js/lib/languages/yaml"),
};

const ALIASES: Record<string, string> = {
  "c++": "cpp", c: "cpp", docker: "dockerfile", golang: "go", html: "xml", javascript: "typescript", js: "typescript", jsx: "typescript",
  patch: "diff", py: "python", rs: "rust", sh: "bash", shell: "bash", svg: "xml", toml: "ini", ts: "typescript", tsx: "typescript",
  yml: "yaml", zsh: "bash",
};

const whenIdle: (work: () => void) => void = globalThis.requestIdleCallback ?? ((work) => setTimeout(work, 50));

/** Colour the blocks in there, one after the other, in idle moments. */
export function highlightLater(root: Element): void {
  for (const block of root.querySelectorAll<HTMLElement>("pre[data-language]")) {
    const name = (block.dataset["language"] ?? "").toLowerCase();
    const language = ALIASES[name] ?? name;
    const length = block.textContent.length;
    if (Object.hasOwn(LANGUAGES, language) && length <= LONGEST) whenIdle(() => void highlight(block, language));
  }
}

async function highlight(block: HTMLElement, language: string): Promise<void> {
  try {
    const highlighter = await loaded(language);
    const code = block.querySelector("code");
    if (!code?.isConnected) return;
    const { value } = highlighter.highlight(code.textContent, { language });
    code.replaceChildren(sanitized(value));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // not reached just now: it stays as it is
  }
}

async function loaded(language: string): Promise<HLJSApi> {
  const { default: highlighter } = await import("highlight.js/lib/core");
  const load = LANGUAGES[language] as Loaded;
  if (!highlighter.getLanguage(language)) highlighter.registerLanguage(language, (await load()).default);
  return highlighter;
}

/** Copy a block when its button is pressed. */
export function copyOnClick(host: HTMLElement): void {
  host.addEventListener("click", ({ target }) => {
    const button = target instanceof Element ? target.closest<HTMLElement>("button.copy") : null;
    const code = button?.closest("figure")?.querySelector("code");
    if (button && code) void copy(button, code);
  });
}

async function copy(button: HTMLElement, code: HTMLElement): Promise<void> {
  if (!(await written(code))) return;
  button.textContent = words().copied;
  setTimeout(() => (button.textContent = words().copy), SAID);
}

async function written(code: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(code.textContent.replace(/\n$/, ""));
    return true;
  } catch {
    // No clipboard on a page that does not come by HTTPS, or no leave to use it: then it is at least selected.
    getSelection()?.selectAllChildren(code);
    return false;
  }
}
