// The chat page's start.
import { render } from "preact";
import "./theme.css";
import { words } from "./words.ts";

render(<h1>{words.value.appName}</h1>, document.getElementById("page") as HTMLElement);
