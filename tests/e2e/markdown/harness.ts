// What the browser tests of the rendering drive: texts that grow, in steps that the tests choose.
import "../../../page/src/theme.css";
import { rendered } from "../../../page/src/markdown/frames.ts";
import { Rendering } from "../../../page/src/markdown/rendering.ts";

const main = document.querySelector("main") as HTMLElement;
const frame = requestAnimationFrame.bind(window);
const channel = new MessageChannel();
const soon: FrameRequestCallback[] = [];
channel.port1.onmessage = () => soon.splice(0).forEach((callback) => callback(performance.now()));

/** Frames that come as fast as they are asked for, instead of sixty a second. */
function hurry(on: boolean): void {
  window.requestAnimationFrame = on ? (callback) => (soon.push(callback), channel.port2.postMessage(0), 0) : frame;
}

const turn = (): Promise<unknown> => new Promise((resolve) => requestAnimationFrame(resolve));

async function settled(): Promise<void> {
  do await turn();
  while (!rendered());
}

/** Show a text as it grows by so many characters; returns what stands there after each step. */
async function grow(text: string, step: number): Promise<{ host: HTMLElement; seen: string[] }> {
  const host = main.appendChild(document.createElement("article"));
  const rendering = new Rendering(host);
  const seen: string[] = [];
  for (let end = step; end < text.length + step; end += step) {
    rendering.set(text.slice(0, end), false);
    await settled();
    seen.push(host.innerHTML);
  }
  rendering.set(text, true);
  await settled();
  seen.push(host.innerHTML);
  return { host, seen };
}

interface Timing {
  /** Milliseconds that each frame's rendering took, with the layout that it causes. */
  frames: number[];
  /** Milliseconds that the browser reports of tasks that held up the page. */
  long: number[];
  characters: number;
}

/** Show a text at a pace of so many characters per frame. */
async function timed(text: string, pace: number): Promise<Timing> {
  const frames: number[] = [];
  const long: number[] = [];
  const observer = new PerformanceObserver((list) => long.push(...list.getEntries().map(({ duration }) => duration)));
  observer.observe({ type: "longtask" });
  const host = main.appendChild(document.createElement("article"));
  window.requestAnimationFrame = (callback) =>
    frame((now) => {
      const began = performance.now();
      callback(now);
      void host.offsetHeight;
      frames.push(performance.now() - began);
    });
  const rendering = new Rendering(host);
  for (let end = pace; end < text.length + pace; end += pace) {
    rendering.set(text.slice(0, end), end >= text.length);
    await new Promise((resolve) => frame(resolve));
  }
  await settled();
  await new Promise((resolve) => setTimeout(resolve, 300)); // colours come when nothing else is to be done
  window.requestAnimationFrame = frame;
  observer.disconnect();
  return { frames, long, characters: host.textContent.length };
}

Object.assign(window, { Rendering, grow, hurry, timed, turn, settled, clear: () => main.replaceChildren() });
