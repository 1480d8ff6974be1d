// Markdown to HTML, for answers of a model: no raw HTML, no address that is not shown, nothing that loads by itself.
import MarkdownIt from "markdown-it";
import cjkFriendly from "markdown-it-cjk-friendly";
import { permitted } from "./addresses.ts";

export const markdown = new MarkdownIt({ linkify: true }).use(cjkFriendly);

// Only what begins with a scheme: "main.py" is a file, though .py is a country.
markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
markdown.validateLink = permitted;

const { rules } = markdown.renderer;
const { escapeHtml } = markdown.utils;

// An answer stands below the page's own headings.
const LOWER = 2;
const LOWEST = 6;

rules["heading_open"] = rules["heading_close"] = (tokens, index) => {
  const { tag, nesting } = tokens[index]!;
  return `<${nesting < 0 ? "/" : ""}h${Math.min(Number(tag[1]) + LOWER, LOWEST)}>`;
};

// A style in the text of a page is not allowed; a class is.
rules["th_open"] = rules["td_open"] = (tokens, index) => {
  const { tag, attrs } = tokens[index]!;
  const side = /text-align:(\w+)/.exec(String(attrs?.[0]?.[1]))?.[1];
  return side ? `<${tag} class="${side}">` : `<${tag}>`;
};

rules["fence"] = rules["code_block"] = (tokens, index) => {
  const { info, content } = tokens[index]!;
  const language = /^[\w+#.-]{1,24}/.exec(info.trim())?.[0] ?? "";
  return `<pre data-language="${escapeHtml(language)}"><code>${escapeHtml(content)}</code></pre>`;
};

// What it becomes is up to decorate.ts; here it is a name that loads nothing.
rules["image"] = (tokens, index, options, env, renderer) => {
  const token = tokens[index]!;
  const name = renderer.renderInlineAsText(token.children ?? [], options, env);
  return `<span data-image="${escapeHtml(String(token.attrGet("src") ?? ""))}">${escapeHtml(name)}</span>`;
};
