// A panel that follows one stream's text. Whoever looks here is an observer: to leave stops nothing.
import { computed, signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { follow, Refused } from "../headrace.ts";
import { Growing } from "../model/growing.ts";
import { Frame } from "../state/frame.ts";
import { IconButton } from "../views/button.tsx";
import { Prose } from "../views/prose.tsx";
import { overview, type Stream } from "./overview.ts";
import { words } from "./words.ts";

export const watched = signal<Stream | null>(null);

/** The same stream, as it is now. */
const current = computed(() => overview.value?.streams.find(({ id }) => id === watched.value?.id) ?? watched.value);

interface Seen {
  text: string;
  reasoning: string;
  done: boolean;
  wrong: unknown;
}

const NOTHING: Seen = { text: "", reasoning: "", done: false, wrong: null };

export function Watch() {
  const said = words.value;
  const stream = current.value;
  const panel = useRef<HTMLElement>(null);
  useLayoutEffect(() => panel.current?.focus(), [stream?.id]);
  useEffect(() => {
    if (stream) addEventListener("keydown", closeOnEscape);
    return () => removeEventListener("keydown", closeOnEscape);
  }, [stream === null]);
  if (!stream) return null;
  return (
    <aside class="watch" ref={panel} tabIndex={-1} aria-label={said.watching}>
      <header>
        <div>
          <h2>{stream.model}</h2>
          <p class="soft" data-state={stream.state}>
            <span class="dot" /> {said.states[stream.state]} <code>{stream.id}</code>
          </p>
        </div>
        <IconButton shape="close" label={said.close} onClick={close} />
      </header>
      <Text key={stream.id} id={stream.id} />
    </aside>
  );
}

function close(): void {
  watched.value = null;
}

function closeOnEscape({ key }: KeyboardEvent): void {
  if (key === "Escape") close();
}

function Text({ id }: { id: string }) {
  const said = words.value;
  const { text, reasoning, done, wrong } = useFollowed(id);
  const box = useRef<HTMLDivElement>(null);
  useStayAtEnd(box);
  if (wrong) return <p class="none">{explained(wrong)}</p>;
  return (
    <div class="text" ref={box} tabIndex={0} role="region" aria-label={said.watching} aria-busy={!done}>
      {reasoning && (
        <details>
          <summary>{said.reasoning}</summary>
          <p class="soft">{reasoning}</p>
        </details>
      )}
      {!text && !reasoning && <p class="none">{said.nothingYet}</p>}
      <Prose text={text} done={done} />
    </div>
  );
}

function useFollowed(id: string): Seen {
  const [seen, see] = useState(NOTHING);
  useEffect(() => {
    const grown = new Growing();
    const leaving = new AbortController();
    const show = (rest: Partial<Seen> = {}): void => see((before) => ({ ...before, text: grown.text, reasoning: grown.reasoning, ...rest }));
    const frame = new Frame(() => show());
    const run = async (): Promise<void> => {
      const url = `/v1/streams/${encodeURIComponent(id)}?as=ui`;
      for await (const { data } of follow(url, { signal: leaving.signal, patience: Infinity })) {
        grown.take(data);
        frame.ask();
      }
    };
    run().then(
      () => show({ done: true }),
      (wrong: unknown) => leaving.signal.aborted || show({ wrong }),
    );
    return () => leaving.abort();
  }, [id]);
  return seen;
}

/** Whoever is at the end of a text that grows stays there. */
function useStayAtEnd(box: { current: HTMLElement | null }): void {
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    let atEnd = true;
    const scrolled = (): void => void (atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 40);
    const grown = new MutationObserver(() => atEnd && (element.scrollTop = element.scrollHeight));
    element.addEventListener("scroll", scrolled);
    grown.observe(element, { childList: true, characterData: true, subtree: true });
    return () => (element.removeEventListener("scroll", scrolled), grown.disconnect());
  }, []);
}

function explained(error: unknown): string {
  const said = words.value;
  const status = error instanceof Refused ? error.status : 0;
  return { 400: said.raw, 404: said.notYours, 410: said.gone }[status] ?? said.broken;
}
