// What the page's modules take for granted of a browser, as far as they need it to be loaded. Import it first.
import { after } from "node:test";

const nothing = (): void => {};
const element = { dataset: {}, lang: "" };
const media = { matches: false, addEventListener: nothing };

Object.assign(globalThis, {
  addEventListener: nothing,
  document: { documentElement: element, title: "" },
  history: { pushState: nothing, replaceState: nothing },
  location: { hash: "", pathname: "/" },
  matchMedia: () => media,
  requestAnimationFrame: nothing,
});

/** How much sooner a time limit is over. */
const SOONER = 20;

// A time limit alone keeps no process alive.
const alive = setInterval(nothing, 1000);
after(() => clearInterval(alive));

const limit = AbortSignal.timeout.bind(AbortSignal);
AbortSignal.timeout = (milliseconds) => limit(milliseconds / SOONER);

/** A reply to a call, as a response or what its JSON says, or none for as long as the caller waits. */
export type Replies = (method: string, path: string) => object | null;

/** Have every call replied to; returns what was called. */
export function serve(replies: Replies): string[] {
  const called: string[] = [];
  globalThis.fetch = (path, { method = "GET", signal } = {}) => {
    called.push(`${method} ${String(path)}`);
    const reply = replies(method, String(path));
    if (reply) return Promise.resolve(reply instanceof Response ? reply : Response.json(reply));
    return new Promise((_, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason as Error));
    });
  };
  return called;
}
