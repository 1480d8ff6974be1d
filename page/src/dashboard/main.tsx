// The dashboard's start.
import { render } from "preact";
import "../theme.css";

render(<h1>Headrace</h1>, document.getElementById("page") as HTMLElement);
