// What a screen reader is told of a growing answer: whole paragraphs, and long ones sentence by sentence.

const LONG = 240;
const SENTENCE = /[.!?…]\s|[。！？；]/g;

export class Spoken {
  private at = 0;

  /** The next chunk that is complete, in plain words; empty where there is none yet. */
  next(text: string, done: boolean): string {
    const rest = text.slice(this.at);
    const end = done ? rest.length : complete(rest);
    this.at += end;
    return plain(rest.slice(0, end));
  }
}

/** Where the last paragraph that has ended ends; in a long one, its last sentence. */
function complete(rest: string): number {
  const paragraph = rest.lastIndexOf("\n\n");
  if (paragraph >= 0) return paragraph + 2;
  if (rest.length < LONG) return 0;
  return [...rest.matchAll(SENTENCE)].reduce((_, found) => found.index + found[0].length, 0);
}

/** Markdown without its signs, as it would be read out. */
export function plain(text: string): string {
  return text
    .replace(/^\s*(?:```|~~~).*$/gm, "")
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/^\s*(?:#{1,6}|>|[-*+])\s+/gm, "")
    .replace(/^\s*\|?[\s:|-]*-{3,}[\s:|-]*$/gm, "")
    .replace(/\*\*|__|`/g, "")
    .replace(/\s*\|\s*/g, " ")
    .replace(/\s+/g, " ")
    .trim();
}
