// The dashboard.
import { prefer, preferences, type Theme } from "../preferences.ts";
import { dismiss, notice } from "../state/notice.ts";
import { admitted, session } from "../state/session.ts";
import { language } from "../language.ts";
import { IconButton } from "../views/button.tsx";
import { Mark } from "../views/icon.tsx";
import { SignIn } from "../views/sign_in.tsx";
import { Facts, Tiles } from "./facts.tsx";
import { age } from "./format.ts";
import { broken, link, listen, overview } from "./overview.ts";
import { Plots } from "./plots.tsx";
import { Table } from "./table.tsx";
import { Watch, watched } from "./watch.tsx";
import { words } from "./words.ts";

export function App() {
  if (session.value && !admitted.value) return <SignIn />;
  const told = overview.value;
  return (
    <div class="dashboard" data-watching={watched.value ? "" : undefined}>
      <Head />
      <main>
        <Told />
        {told && <Tiles told={told} />}
        {told && <Plots />}
        {told && (
          <div class="lower">
            <Table />
            <Facts />
          </div>
        )}
      </main>
      <Watch />
    </div>
  );
}

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };

function Head() {
  const said = words.value;
  const told = overview.value;
  const { theme } = preferences.value;
  return (
    <header class="head">
      <Mark />
      <h1>{said.title}</h1>
      <Link />
      <p class="soft about">{told && said.version(told.version, age(told.uptime), told.workers)}</p>
      <nav>
        <a href="/">{said.chat}</a>
        <button type="button" onClick={() => prefer({ theme: NEXT[theme] })}>
          {said.theme[theme]}
        </button>
        <button type="button" lang={language.value === "zh" ? "en" : "zh-CN"} onClick={() => prefer({ language: language.value === "zh" ? "en" : "zh" })}>
          {said.language}
        </button>
      </nav>
    </header>
  );
}

function Link() {
  const said = words.value;
  const state = broken.value ? "broken" : link.value;
  const text = state === "open" ? said.live : said[state];
  return (
    <p class="feed" role="status" data-link={state}>
      <span class="dot" /> {text}
    </p>
  );
}

function Told() {
  const said = words.value;
  if (notice.value)
    return (
      <div class="notice" data-kind="bad" role="alert">
        <p>{notice.value.text}</p>
        <IconButton shape="close" label={said.close} onClick={dismiss} />
      </div>
    );
  if (!broken.value) return null;
  return (
    <div class="notice" data-kind="bad" role="alert">
      <p>{said.broken}</p>
      <button type="button" class="plain" onClick={() => void listen()}>
        {said.tryAgain}
      </button>
    </div>
  );
}
