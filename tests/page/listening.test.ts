// The dashboard's feed: there is one at a time, also where somebody signs in again while the old one is still heard.
import assert from "node:assert/strict";
import { test } from "node:test";
import "./window.ts";
import { broken, listen, overview } from "../../page/src/dashboard/overview.ts";

interface Feed {
  signal: AbortSignal;
  out: ReadableStreamDefaultController<Uint8Array>;
}

/** Have the server's feeds be written by hand, as many as this; afterwards it has none. */
function feed(most: number): Feed[] {
  const feeds: Feed[] = [];
  globalThis.fetch = (_, init) => {
    const signal = init!.signal!;
    if (feeds.length === most) return Promise.resolve(new Response(null, { status: 204 }));
    const start = (out: Feed["out"]): void => {
      feeds.push({ signal, out });
      signal.addEventListener("abort", () => out.error(signal.reason));
    };
    const headers = { "content-type": "text/event-stream" };
    return Promise.resolve(new Response(new ReadableStream({ start }), { headers }));
  };
  return feeds;
}

const turn = (): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, 20));

test("who listens anew has left the old feed", { timeout: 10_000 }, async () => {
  const feeds = feed(2);
  const first = listen();
  await turn();
  const second = listen();
  await turn();
  assert.deepEqual(feeds.map(({ signal }) => signal.aborted), [true, false]);
  await first;
  assert.equal(broken.value, null);
  feeds[1]!.out.enqueue(new TextEncoder().encode('event: overview\ndata: {"time":2}\n\n'));
  feeds[1]!.out.close();
  await second;
  assert.equal(overview.value?.time, 2);
});
