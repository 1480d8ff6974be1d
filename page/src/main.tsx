// The chat page's start.
import { effect, untracked } from "@preact/signals";
import { render } from "preact";
import "./theme.css";
import "./styles/page.css";
import "./styles/controls.css";
import "./styles/list.css";
import "./styles/thread.css";
import "./styles/composer.css";
import { announceAnswers } from "./state/announcer.ts";
import { begin, named, open, shown } from "./state/conversation.ts";
import { listenToKeys } from "./state/keys.ts";
import { followShown } from "./state/live.ts";
import { loadModels } from "./state/models.ts";
import { tell } from "./state/notice.ts";
import { admitted, look } from "./state/session.ts";
import { watchWhileSeen } from "./state/watching.ts";
import { App } from "./views/app.tsx";

/** Show what the address names. */
function goWhereNamed(): void {
  const id = named();
  if (id) void open(id);
  else if (shown.peek().saved) begin();
}

function enter(): void {
  look().catch((error: unknown) => tell(error, enter));
}

listenToKeys();
followShown();
announceAnswers();
watchWhileSeen();
addEventListener("popstate", goWhereNamed);
effect(() => {
  if (!admitted.value) return;
  untracked(() => {
    void loadModels();
    goWhereNamed();
  });
});
enter();
render(<App />, document.getElementById("page") as HTMLElement);
