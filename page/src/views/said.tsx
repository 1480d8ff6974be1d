// A message of the user: what was said, and another way to say it.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Message } from "../api.ts";
import { resend } from "../state/asking.ts";
import { isComposing } from "../state/keys.ts";
import { editing, focusOn, MESSAGE } from "../state/screen.ts";
import { words } from "../words.ts";
import { Branches } from "./branches.tsx";
import { CopyButton, IconButton } from "./button.tsx";
import { grow } from "./growing_area.ts";

export function Said({ message }: { message: Message }) {
  const edited = editing.value === message.id;
  return (
    <article class="said" aria-label={words.value.you}>
      {message.parts.map((part) => part.type === "image" && <img class="picture" src={part.data_url} alt={words.value.picture} />)}
      {edited ? <Editor message={message} /> : message.text && <div class="bubble">{message.text}</div>}
      {!edited && (
        <div class="actions">
          <Branches message={message} />
          <CopyButton text={() => message.text} />
          <IconButton shape="edit" label={words.value.edit} onClick={() => (editing.value = message.id)} />
        </div>
      )}
    </article>
  );
}

function close(): void {
  editing.value = null;
  focusOn(MESSAGE);
}

function Editor({ message }: { message: Message }) {
  const [text, setText] = useState(message.text);
  const area = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => {
    area.current?.focus();
    area.current?.setSelectionRange(message.text.length, message.text.length);
  }, []);
  useLayoutEffect(() => grow(area.current), [text]);
  const send = (): void => {
    if (!text.trim() && message.parts.length === 0) return;
    close();
    void resend(message, text);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (isComposing(event)) return;
    const key = event.key === "Enter" && !event.shiftKey ? send : event.key === "Escape" ? close : null;
    if (!key) return;
    event.preventDefault();
    key();
  };
  return (
    <div class="editor">
      <textarea ref={area} rows={1} aria-label={words.value.editing} value={text} onInput={(event) => setText(event.currentTarget.value)} onKeyDown={onKeyDown} />
      <div class="choices">
        <button type="button" class="plain" onClick={close}>
          {words.value.cancel}
        </button>
        <button type="button" class="main" onClick={send}>
          {words.value.resend}
        </button>
      </div>
    </div>
  );
}
