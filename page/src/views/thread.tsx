// The conversation as it is shown, kept at its end for as long as its reader is there.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { leaf, shown, shownTurns } from "../state/conversation.ts";
import { words } from "../words.ts";
import { Answer } from "./answer.tsx";
import { IconButton } from "./button.tsx";
import { Empty } from "./empty.tsx";
import { Said } from "./said.tsx";

/** Pixels above the end that still count as its place. */
const NEAR = 80;

export function Thread() {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const [atEnd, setAtEnd] = useState(true);
  const stuck = useRef(true);
  const toEnd = (): void => void scroller.current?.scrollTo({ top: scroller.current.scrollHeight });
  const onScroll = (): void => {
    const { scrollHeight, scrollTop, clientHeight } = scroller.current as HTMLDivElement;
    stuck.current = scrollHeight - scrollTop - clientHeight < NEAR;
    setAtEnd(stuck.current);
  };
  useEffect(() => {
    const watcher = new ResizeObserver(() => stuck.current && toEnd());
    watcher.observe(content.current as HTMLDivElement);
    watcher.observe(scroller.current as HTMLDivElement);
    return () => watcher.disconnect();
  }, []);
  useLayoutEffect(() => {
    stuck.current = true;
    toEnd();
  }, [leaf.value, shown.value.id]);
  return (
    <div class="scroller" ref={scroller} onScroll={onScroll}>
      <div class="thread" ref={content}>
        <Turns />
      </div>
      {!atEnd && <IconButton shape="down" class="latest" label={words.value.latest} onClick={toEnd} />}
    </div>
  );
}

function Turns() {
  if (shown.value.loading) return null;
  if (shownTurns.value.length === 0) return <Empty />;
  return (
    <>
      {shownTurns.value.map((turn) => {
        const [first] = turn.messages;
        return turn.role === "user" ? <Said key={first.id} message={first} /> : <Answer key={first.id} turn={turn} />;
      })}
    </>
  );
}
