// The dashboard's start.
import { effect, untracked } from "@preact/signals";
import { render } from "preact";
import "../theme.css";
import "../styles/page.css";
import "../styles/controls.css";
import "../styles/thread.css";
import "./dashboard.css";
import "./numbers.css";
import "./streams.css";
import "./watch.css";
import { tell } from "../state/notice.ts";
import { admitted, look } from "../state/session.ts";
import { App } from "./app.tsx";
import { listen } from "./overview.ts";
import { words } from "./words.ts";

effect(() => void (document.title = `${words.value.title} · Headrace`));
effect(() => {
  if (admitted.value) untracked(() => void listen());
});
look().catch((error: unknown) => tell(error));
render(<App />, document.getElementById("page") as HTMLElement);
