// The whole page.
import { useState } from "preact/hooks";
import { lines } from "../state/announcer.ts";
import { attach } from "../state/draft.ts";
import { dismiss, notice } from "../state/notice.ts";
import { covered, focusOn, listShown, MESSAGE } from "../state/screen.ts";
import { admitted, session } from "../state/session.ts";
import { words } from "../words.ts";
import { Bar } from "./bar.tsx";
import { IconButton } from "./button.tsx";
import { Composer } from "./composer.tsx";
import { List } from "./list.tsx";
import { Settings } from "./settings.tsx";
import { SignIn } from "./sign_in.tsx";
import { Thread } from "./thread.tsx";

export function App() {
  if (session.value === null) return <Told />;
  if (!admitted.value) return <SignIn />;
  return (
    <div class="page" data-list={listShown.value ? "shown" : "hidden"}>
      <button type="button" class="skip" onClick={() => focusOn(MESSAGE)}>
        {words.value.skip}
      </button>
      <List />
      {covered.value && <div class="cover" onClick={() => (listShown.value = false)} />}
      <Conversation />
      <Settings />
      <Announced />
    </div>
  );
}

function Conversation() {
  const [dropping, setDropping] = useState(false);
  const over = (event: DragEvent): void => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    setDropping(true);
  };
  const drop = (event: DragEvent): void => {
    setDropping(false);
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    void attach(event.dataTransfer.files);
  };
  const leave = (event: DragEvent): void => void (event.relatedTarget === null && setDropping(false));
  return (
    <main inert={covered.value} onDragOver={over} onDrop={drop} onDragLeave={leave}>
      <Bar />
      <Thread />
      <div class="foot">
        <Told />
        <Composer />
      </div>
      {dropping && <div class="dropping">{words.value.dropPictures}</div>}
    </main>
  );
}

function Told() {
  const told = notice.value;
  if (!told) return null;
  const again = (): void => (dismiss(), told.again?.());
  return (
    <div class="notice" data-kind="bad" role="alert">
      <p>{told.text}</p>
      {told.again && (
        <button type="button" class="plain" onClick={again}>
          {words.value.tryAgain}
        </button>
      )}
      <IconButton shape="close" label={words.value.dismiss} onClick={dismiss} />
    </div>
  );
}

const Announced = () => (
  <div class="spoken" role="log" aria-live="polite" aria-relevant="additions" aria-label={words.value.answer}>
    {lines.value.map(({ number, text }) => (
      <p key={number}>{text}</p>
    ))}
  </div>
);
