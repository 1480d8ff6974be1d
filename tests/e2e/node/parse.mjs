// What an independent parser of server-sent events makes of bodies.
import { createParser } from "eventsource-parser";
import { run } from "./plan.mjs";

await run(({ body }) => {
  const events = [];
  const retries = [];
  const parser = createParser({
    onEvent: ({ event, data, id }) => events.push([event ?? "", data, id ?? ""]),
    onRetry: (retry) => retries.push(retry),
  });
  parser.feed(body);
  return { events, retries };
});
