// A text of Markdown that grows, on the page. What is finished is rendered once; only its end is rendered again.
import { copyOnClick, highlightLater } from "./code.ts";
import { decorate } from "./decorate.ts";
import { inFrame, type Job } from "./frames.ts";
import { mend } from "./mend.ts";
import { markdown } from "./parser.ts";
import { patchChildren, trimChildren } from "./patch.ts";
import { sanitized } from "./sanitize.ts";
import { units, type Unit } from "./units.ts";
import "./markdown.css";

/** What `[names]` of links stand for: what a unit defines is its own until it is finished, and then for all after it. */
type References = NonNullable<NonNullable<Parameters<typeof markdown.render>[1]>["references"]>;

/** A place among the host's children. `items`: those of the list there that come before it. */
interface Place {
  readonly index: number;
  readonly items: number;
}

const START: Place = { index: 0, items: 0 };

/** The host belongs to it alone, and is changed at most once per frame. */
export class Rendering implements Job {
  readonly #host: HTMLElement;
  #text = "";
  #done = false;
  /** Up to where the text is finished, and the place of what comes then. */
  #offset = 0;
  #place = START;
  #references: References = {};
  /** The units that come then, of the text as it was when it was last looked at. */
  #finished: Unit[] = [];
  #open: readonly Unit[] = [];

  constructor(host: HTMLElement) {
    this.#host = host;
    host.classList.add("markdown");
    copyOnClick(host);
  }

  /** Show this text: what was shown and more, or another one. `done`: it grows no more. */
  set(text: string, done: boolean): void {
    const plain = text.replace(/\r\n?/g, "\n");
    if (plain === this.#text && done === this.#done) return;
    if (!plain.startsWith(this.#text.slice(0, this.#offset))) this.#forget();
    this.#text = plain;
    this.#done = done;
    inFrame(this);
  }

  step(until: number): boolean {
    for (let unit; (unit = this.#next()); ) {
      this.#finish(unit);
      if (performance.now() > until) return true;
    }
    this.#showOpen();
    return false;
  }

  /** The next unit that is finished, of the text as it is now. */
  #next(): Unit | undefined {
    if (!this.#finished.length) this.#look();
    return this.#finished.shift();
  }

  /** See which units there are beyond those that are shown as finished. */
  #look(): void {
    const { finished, open } = units(this.#text.slice(this.#offset), this.#place.items > 0, this.#done);
    this.#finished = [...finished];
    this.#open = open;
  }

  #showOpen(): void {
    const references = Object.create(this.#references) as References;
    const last = this.#open.at(-1);
    const end = this.#open.reduce(
      (place, unit) => this.#put(unit === last ? { ...unit, source: mend(unit.source) } : unit, place, references),
      this.#place,
    );
    this.#trim(end);
  }

  #finish(unit: Unit): void {
    const references = Object.create(this.#references) as References;
    const before = this.#begin(unit, this.#place);
    const after = (this.#place = this.#put(unit, before, references));
    this.#offset += unit.source.length;
    Object.assign(this.#references, references);
    const list = unit.joins ? this.#host.children[before.index] : undefined;
    const end = after.index + (after.items ? 1 : 0);
    const shown = list ? [...list.children].slice(before.items, after.items) : [...this.#host.children].slice(before.index, end);
    shown.forEach(highlightLater);
  }

  /** Where a unit is put that comes at a place: in the list there, or after it. */
  #begin(unit: Unit, place: Place): Place {
    if (!place.items || unit.joins) return place;
    this.#trimList(place);
    return { index: place.index + 1, items: 0 };
  }

  /** Show a unit at a place; returns the one after it. */
  #put(unit: Unit, place: Place, references: References): Place {
    const { index, items } = this.#begin(unit, place);
    const nodes = this.#nodes(unit.source, references);
    const list = this.#host.children[index];
    if (!unit.joins || !list) {
      patchChildren(this.#host, nodes, index);
      return unit.item ? { index, items: nodes[0]?.children.length ?? 0 } : { index: index + nodes.length, items: 0 };
    }
    const added = nodes.flatMap((node) => [...node.children]);
    patchChildren(list, added, items);
    return { index, items: items + added.length };
  }

  /** A source as elements: what stands between them is white space. */
  #nodes(source: string, references: References): Element[] {
    const fragment = sanitized(markdown.render(source, { references }));
    decorate(fragment);
    const nodes = [...fragment.children];
    for (const list of nodes) if (/^[OU]L$/.test(list.tagName)) list.replaceChildren(...list.children);
    return nodes;
  }

  #trim(place: Place): void {
    this.#trimList(place);
    trimChildren(this.#host, place.index + (place.items ? 1 : 0));
  }

  #trimList({ index, items }: Place): void {
    const list = items ? this.#host.children[index] : undefined;
    if (list) trimChildren(list, items);
  }

  #forget(): void {
    this.#host.replaceChildren();
    this.#offset = 0;
    this.#finished = [];
    this.#place = START;
    this.#references = {};
  }
}
