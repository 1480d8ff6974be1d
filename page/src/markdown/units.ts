// An answer that grows, in units that are finished one after the other: blocks of Markdown, and the items of lists.
import { markdown } from "./parser.ts";

/** A part of the source. `item`: of a list; `joins`: the one that the unit before it is in. */
export interface Unit {
  readonly source: string;
  readonly item: boolean;
  readonly joins: boolean;
}

export interface Units {
  /** Those that no further text can change. */
  readonly finished: readonly Unit[];
  /** The others: the last one, and the one before it while it may yet become a part of that. */
  readonly open: readonly Unit[];
}

interface Begin {
  line: number;
  item: boolean;
  joins: boolean;
}

/**
 * The units of a source that begins where a unit does. `joins`: in a list that has begun before.
 *
 * A block has ended when the next one begins on a line that is whole. On a line that is not, `#` may yet be a heading or a
 * word of the paragraph above.
 */
export function units(source: string, joins: boolean, done: boolean): Units {
  const begins = beginnings(source, joins);
  const starts = lineStarts(source);
  const found = begins.map(({ line, item, joins }, index): Unit => {
    const from = index ? starts[line] : 0;
    const next = begins[index + 1];
    return { source: source.slice(from, next && starts[next.line]), item, joins };
  });
  const whole = starts.length - 1;
  const finished = done ? found.length : Math.max(0, begins.filter(({ line }) => line < whole).length - 1);
  return { finished: found.slice(0, finished), open: found.slice(finished) };
}

function beginnings(source: string, joins: boolean): Begin[] {
  const found: Begin[] = [];
  let begun = joins;
  for (const { level, nesting, map, type } of blocks(source)) {
    const isItem = type === "list_item_open" && level === 1;
    if (nesting < 0 || !map || !(isItem || level === 0)) continue;
    if (isItem) {
      found.push({ line: map[0], item: true, joins: begun });
      begun = true;
    } else if (/_list_open$/.test(type)) {
      begun = joins && !found.length;
    } else {
      found.push({ line: map[0], item: false, joins: false });
    }
  }
  return found;
}

/** The tokens of the blocks alone; what is in them is not looked at. */
function blocks(source: string): InstanceType<typeof markdown.core.State>["tokens"] {
  const tokens: ReturnType<typeof blocks> = [];
  markdown.block.parse(source, markdown, {}, tokens);
  return tokens;
}

function lineStarts(source: string): number[] {
  const starts = [0];
  for (let at = source.indexOf("\n"); at >= 0; at = source.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}
