// Markdown on the page. The renderer keeps what is finished and renders the growing end anew.
import { useLayoutEffect, useRef } from "preact/hooks";
import { Rendering } from "../markdown/rendering.ts";

export function Prose({ text, done }: { text: string; done: boolean }) {
  const host = useRef<HTMLDivElement>(null);
  const rendering = useRef<Rendering | null>(null);
  useLayoutEffect(() => {
    if (!host.current) return;
    rendering.current ??= new Rendering(host.current);
    rendering.current.set(text, done);
  }, [text, done]);
  return <div class="prose" data-growing={done ? undefined : ""} ref={host} />;
}
