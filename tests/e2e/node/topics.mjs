// A page's EventSource on a topic, until it is told that the topic is closed. It says that it is there by making another.
import { EventSource } from "eventsource";
import { run } from "./plan.mjs";

await run(
  ({ url, there }) =>
    new Promise((resolve) => {
      const source = new EventSource(url);
      const seen = { text: "", opened: 0 };
      source.addEventListener("open", () => seen.opened++ || fetch(there, { method: "PUT" }));
      source.addEventListener("data", ({ data }) => (seen.text += data));
      source.addEventListener("control", ({ data }) => {
        if (!JSON.parse(data).streamClosed) return;
        source.close();
        resolve(seen);
      });
    }),
);
