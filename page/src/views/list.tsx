// The conversations beside the one that is shown.
import { useRef } from "preact/hooks";
import type { Summary } from "../api.ts";
import { byPeriod } from "../model/days.ts";
import { begin, open, shown } from "../state/conversation.ts";
import { isComposing } from "../state/keys.ts";
import { find, hasMore, more, search, summaries } from "../state/library.ts";
import { focusOn, listShown, MESSAGE, SEARCH, settingsShown, uncover } from "../state/screen.ts";
import { words } from "../words.ts";
import { IconButton } from "./button.tsx";
import { Icon, Mark } from "./icon.tsx";
import { Row } from "./row.tsx";

/** Begin anew, with the focus where one writes. */
export function beginHere(): void {
  begin();
  uncover();
  requestAnimationFrame(() => focusOn(MESSAGE));
}

function choose(id: string): void {
  void open(id);
  uncover();
}

export const List = () => (
  <aside class="list" aria-label={words.value.conversations} inert={!listShown.value}>
    <header>
      <Mark />
      <strong>Headrace</strong>
      <IconButton shape="menu" label={words.value.closeList} onClick={() => (listShown.value = false)} />
    </header>
    <button type="button" class="new" onClick={beginHere}>
      <Icon shape="plus" />
      {words.value.newChat}
    </button>
    <Search />
    <nav aria-label={words.value.conversations}>
      <Groups />
    </nav>
    <footer>
      <a href="/dashboard">
        <Icon shape="chart" />
        {words.value.dashboard}
      </a>
      <button type="button" onClick={() => (settingsShown.value = true)}>
        <Icon shape="sliders" />
        {words.value.settings}
      </button>
    </footer>
  </aside>
);

/** Milliseconds between what is typed and the search for it. */
const CALM = 200;

function Search() {
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const onInput = (text: string): void => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => void find(text.trim()), CALM);
  };
  const onKeyDown = (event: KeyboardEvent & { currentTarget: HTMLInputElement }): void => {
    if (isComposing(event)) return; // the key belongs to the input method
    if (event.key === "Enter" && !event.currentTarget.value) beginHere();
    if (event.key !== "Escape" || !event.currentTarget.value) return;
    event.preventDefault();
    event.currentTarget.value = "";
    onInput("");
  };
  return (
    <label class="search">
      <Icon shape="search" />
      <span class="spoken">{words.value.searchHint}</span>
      <input id={SEARCH} type="search" placeholder={words.value.search} autocomplete="off" onInput={(event) => onInput(event.currentTarget.value)} onKeyDown={onKeyDown} />
      <kbd aria-hidden="true">{navigator.userAgent.includes("Mac") ? "⌘K" : "Ctrl K"}</kbd>
    </label>
  );
}

function Groups() {
  const said = words.value;
  if (summaries.value.length === 0) return <p class="nothing">{search.value ? said.nothingFound : said.nothingYet}</p>;
  return (
    <>
      {byPeriod(summaries.value, new Date()).map(([period, group]) => (
        <section key={period}>
          <h2>{said[period]}</h2>
          <ul>{group.map(row)}</ul>
        </section>
      ))}
      {hasMore.value && (
        <button type="button" class="plain" onClick={() => void more()}>
          {said.more}
        </button>
      )}
    </>
  );
}

const row = (summary: Summary) => <Row key={summary.id} summary={summary} current={summary.id === shown.value.id} onOpen={() => choose(summary.id)} />;
