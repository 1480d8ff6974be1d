// Where a message is written and sent, and an answer stopped.
import { useLayoutEffect, useRef } from "preact/hooks";
import { send, stop } from "../state/asking.ts";
import { growing, path } from "../state/conversation.ts";
import { attach, detach, draft, write } from "../state/draft.ts";
import { isComposing } from "../state/keys.ts";
import { editing, MESSAGE } from "../state/screen.ts";
import { words } from "../words.ts";
import { IconButton } from "./button.tsx";
import { grow } from "./growing_area.ts";

function submit(): void {
  const { text, pictures } = draft.value;
  if (growing.value.length > 0 || (!text.trim() && pictures.length === 0)) return;
  draft.value = { text: "", pictures: [] };
  void send(text, pictures);
}

function editLast(event: KeyboardEvent): void {
  const last = path.value.findLast((message) => message.role === "user");
  if (!last || draft.value.text || growing.value.length > 0) return;
  event.preventDefault();
  editing.value = last.id;
}

function onKeyDown(event: KeyboardEvent): void {
  if (isComposing(event)) return; // the key belongs to the input method
  if (event.key === "ArrowUp") editLast(event);
  if (event.key !== "Enter" || event.shiftKey) return;
  event.preventDefault();
  submit();
}

function onPaste(event: ClipboardEvent): void {
  const files = event.clipboardData?.files;
  if (!files?.length) return;
  event.preventDefault();
  void attach(files);
}

export function Composer() {
  const said = words.value;
  const area = useRef<HTMLTextAreaElement>(null);
  const { text } = draft.value;
  useLayoutEffect(() => grow(area.current), [text]);
  return (
    <form class="composer" onSubmit={(event) => (event.preventDefault(), submit())}>
      <Pictures />
      <textarea
        ref={area}
        id={MESSAGE}
        rows={1}
        aria-label={said.message}
        aria-describedby="hint"
        placeholder={said.placeholder}
        value={text}
        onInput={(event) => write(event.currentTarget.value)}
        onKeyDown={onKeyDown}
        onPaste={onPaste}
      />
      <div class="tools">
        <PictureButton />
        <span class="hint" id="hint">
          {said.hint}
        </span>
        <SendOrStop />
      </div>
    </form>
  );
}

function SendOrStop() {
  const { text, pictures } = draft.value;
  const empty = !text.trim() && pictures.length === 0;
  if (growing.value.length === 0) return <IconButton shape="send" class="round" label={words.value.send} disabled={empty} onClick={submit} />;
  return <IconButton shape="stop" class="round" label={words.value.stop} onClick={() => void stop()} />;
}

function PictureButton() {
  const input = useRef<HTMLInputElement>(null);
  const take = (): void => {
    const chosen = input.current;
    if (!chosen?.files) return;
    void attach(chosen.files);
    chosen.value = "";
  };
  return (
    <>
      <IconButton shape="picture" label={words.value.addPictures} onClick={() => input.current?.click()} />
      <input ref={input} type="file" accept="image/png,image/jpeg,image/webp,image/gif" multiple hidden onChange={take} />
    </>
  );
}

function Pictures() {
  const { pictures } = draft.value;
  if (pictures.length === 0) return null;
  return (
    <ul class="pictures">
      {pictures.map(
        (picture) =>
          picture.type === "image" && (
            <li key={picture.data_url}>
              <img src={picture.data_url} alt={words.value.picture} />
              <IconButton shape="close" label={words.value.removePicture} onClick={() => detach(picture)} />
            </li>
          ),
      )}
    </ul>
  );
}
