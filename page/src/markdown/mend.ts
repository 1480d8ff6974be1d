// The end of a text that is still being written, as it will probably go on: what has been opened is closed, and what is
// half a mark is not shown yet.

/** Half of a mark that begins a line: of a heading, list, quotation, rule, fence or underline. */
const HALF_LINE = /(^|\n)[ \t]*(?:[-=*_+#>|]{1,6}|\d{1,9}[.)]?|`{1,2}|~{1,2}|!?\[)[ \t]*$/;

/** A fence, opened and maybe closed. */
const FENCE = /^ {0,3}(`{3,}|~{3,})/gm;

/** A link or an image of which the address has not ended; its text may hold a pair of brackets. */
const HALF_LINK = /!?\[((?:[^[\]\\]|\\.|\[[^[\]]*\])*)\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s[^)]*)?$/;

/** The text of a link of which nothing else is there yet. */
const HALF_TEXT = /(?<!\w)!?\[([^[\]\n]*)\]?$/;

/** How much of a long paragraph is looked at. */
const LOOKED_AT = 4000;

/** Make the last unit of a growing text whole. */
export function mend(source: string): string {
  const shown = source.replace(HALF_LINE, "$1");
  if (fenced(shown)) return shown;
  const start = Math.max(shown.lastIndexOf("\n\n") + 1, shown.length - LOOKED_AT);
  return shown.slice(0, start) + mendInline(withTable(shown.slice(start)));
}

function fenced(source: string): boolean {
  let open = "";
  for (const [, fence = ""] of source.matchAll(FENCE)) {
    if (!open) open = fence;
    else if (fence[0] === open[0] && fence.length >= open.length) open = "";
  }
  return open !== "";
}

/** A row of names is a table before the line below it says so; otherwise it would be text first. */
function withTable(text: string): string {
  const [, before = "", head, rule] = /^(\s*)(\|[^\n]*[^\n|\s][^\n|]*\|?)[ \t]*(?:\n([ \t:|-]*))?$/.exec(text) ?? [];
  if (head === undefined) return text;
  const row = head.endsWith("|") ? head : `${head}|`;
  if (rule && /-\|\s*$/.test(rule) && cells(rule) === cells(row)) return text;
  return `${before}${row}\n${"|---".repeat(cells(row))}|`;
}

const cells = (row: string): number => row.trim().replace(/\\\|/g, "").split("|").length - 2;

function mendInline(text: string): string {
  const code = openCode(text);
  if (code >= 0) {
    const run = /^`+/.exec(text.slice(code))?.[0] ?? "";
    const rest = text.slice(code + run.length);
    if (!rest.trim()) return closed(text.slice(0, code));
    return closed(text.slice(0, code), run + rest.replace(/`+$/, "") + run);
  }
  return closed(withoutHalfLinks(text));
}

function withoutHalfLinks(text: string): string {
  const half = HALF_LINK.exec(text) ?? HALF_TEXT.exec(text);
  if (!half) return text;
  const image = half[0].startsWith("!");
  return text.slice(0, half.index) + (image ? "" : half[1]);
}

/** Where code has begun that does not end; -1: nowhere. */
function openCode(text: string): number {
  let open = -1;
  let length = 0;
  for (const { 0: run, index } of text.matchAll(/\\.|`+/gs)) {
    if (run[0] === "\\") continue;
    if (open < 0) [open, length] = [index, run.length];
    else if (run.length === length) open = -1;
  }
  return open;
}

/** Half of a mark of emphasis, or one that has nothing behind it yet. */
const HALF_MARK = /(?<![*_~\\])(?:\*{1,3}|_{1,3}|~{1,2})$/;

/** The text, with the emphasis closed that is open at its end; `code` is code that comes then. */
function closed(text: string, code = ""): string {
  const shown = code ? text + code : text.replace(HALF_MARK, (run, at) => (closes(text.slice(0, at), run) ? run : "")).trimEnd();
  return shown + openMarks(code ? text : shown).reverse().join("");
}

function closes(text: string, run: string): boolean {
  return /\S$/.test(text) && openMarks(text).some((mark) => run.startsWith(mark));
}

/** The marks of emphasis that have been opened and not closed, the outermost first. */
function openMarks(text: string): string[] {
  const open: string[] = [];
  const plain = text.replace(/\\.|(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)/gs, (skipped) => "x".repeat(skipped.length));
  for (const { 0: run, index } of plain.matchAll(/\*+|~~|_+/g)) {
    const before = plain[index - 1] ?? " ";
    const after = plain[index + run.length] ?? " ";
    let left = run;
    while (left && /\S/.test(before) && open.length && left.startsWith(open.at(-1)!)) left = left.slice(open.pop()!.length);
    // Behind a letter or a digit it may be 2*3 or a name; behind a character of Chinese it is none of these.
    if (left && left.length < 4 && /\S/.test(after) && !/\w/.test(before)) open.push(...marks(left));
  }
  return open;
}

const marks = (run: string): string[] => (run.length === 3 ? [run.slice(0, 1), run.slice(1)] : [run]);
