// One conversation of the list, and what can be done with it.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { conversations, type Summary } from "../api.ts";
import { isComposing } from "../state/keys.ts";
import { remove, rename } from "../state/library.ts";
import { words } from "../words.ts";
import { IconButton } from "./button.tsx";
import { Confirmation } from "./confirmation.tsx";
import { Icon } from "./icon.tsx";

interface Given {
  summary: Summary;
  current: boolean;
  onOpen: () => void;
}

export function Row({ summary, current, onOpen }: Given) {
  const [naming, setNaming] = useState(false);
  const [removing, setRemoving] = useState(false);
  const title = summary.title || words.value.untitled;
  if (naming) return <Naming id={summary.id} title={summary.title} onDone={() => setNaming(false)} />;
  return (
    <li class="row" data-current={current ? "" : undefined}>
      <button type="button" class="open" aria-current={current ? "page" : undefined} onClick={onOpen}>
        <span>{title}</span>
        {summary.open && <i class="pulse" role="img" aria-label={words.value.growing} />}
      </button>
      <Menu id={summary.id} title={title} onRename={() => setNaming(true)} onRemove={() => setRemoving(true)} />
      {removing && (
        <Confirmation title={words.value.removeAsk(title)} told={words.value.removeTold} doing={words.value.remove} onDo={() => void remove(summary.id)} onClose={() => setRemoving(false)} />
      )}
    </li>
  );
}

interface Choices {
  id: string;
  title: string;
  onRename: () => void;
  onRemove: () => void;
}

function Menu({ id, title, onRename, onRemove }: Choices) {
  const menu = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLSpanElement>(null);
  const show = (): void => {
    const under = button.current?.getBoundingClientRect();
    if (!menu.current || !under) return;
    menu.current.showPopover();
    const room = innerHeight - menu.current.offsetHeight - 8;
    menu.current.style.top = `${Math.min(under.bottom + 4, room)}px`;
    menu.current.style.left = `${Math.min(under.left, innerWidth - menu.current.offsetWidth - 8)}px`;
  };
  const then = (act: () => void) => () => {
    menu.current?.hidePopover();
    act();
  };
  const said = words.value;
  return (
    <>
      <span ref={button}>
        <IconButton shape="more" label={said.actions(title)} onClick={show} />
      </span>
      <div ref={menu} class="menu" popover="auto">
        <button type="button" onClick={then(onRename)}>
          <Icon shape="edit" />
          {said.rename}
        </button>
        <a href={conversations.exported(id, "markdown")} download onClick={then(() => undefined)}>
          <Icon shape="file" />
          {said.exportMarkdown}
        </a>
        <a href={conversations.exported(id, "json")} download onClick={then(() => undefined)}>
          <Icon shape="file" />
          {said.exportJson}
        </a>
        <button type="button" class="bad" onClick={then(onRemove)}>
          <Icon shape="trash" />
          {said.remove}
        </button>
      </div>
    </>
  );
}

function Naming({ id, title, onDone }: { id: string; title: string; onDone: () => void }) {
  const input = useRef<HTMLInputElement>(null);
  const over = useRef(false);
  useLayoutEffect(() => input.current?.select(), []);
  const finish = (keep: boolean): void => {
    if (over.current) return;
    over.current = true;
    const named = input.current?.value.trim();
    if (keep && named && named !== title) void rename(id, named);
    onDone();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (isComposing(event) || (event.key !== "Enter" && event.key !== "Escape")) return;
    event.preventDefault();
    finish(event.key === "Enter");
  };
  return (
    <li class="row">
      <input ref={input} aria-label={words.value.rename} defaultValue={title} maxLength={200} onKeyDown={onKeyDown} onBlur={() => finish(true)} />
    </li>
  );
}
