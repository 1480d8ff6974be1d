// One frame's worth of rendering at a time, for all texts on the page together.

/** Milliseconds of a frame that rendering takes; a unit that has been begun is finished. */
const BUDGET = 8;

/** Something that renders until a time of `performance.now()`; says whether there is more to do. */
export interface Job {
  step(until: number): boolean;
}

const waiting = new Set<Job>();
let asked = false;
let rest = 0;

/** Have it run in the next frame, once. A page that is hidden has no frames, and catches up when it is shown. */
export function inFrame(job: Job): void {
  waiting.add(job);
  if (asked) return;
  asked = true;
  requestAnimationFrame(run);
}

/** Whether all that was asked for is on the page. */
export const rendered = (): boolean => waiting.size === 0;

function run(): void {
  asked = false;
  const began = performance.now();
  try {
    if (began >= rest) work(began + BUDGET);
  } finally {
    // What takes long is done less often, so that the page stays free for its reader.
    const took = performance.now() - began;
    if (took > 2 * BUDGET) rest = began + 4 * took;
    for (const job of waiting) inFrame(job);
  }
}

function work(until: number): void {
  for (const job of [...waiting]) {
    waiting.delete(job);
    if (job.step(until)) waiting.add(job);
    if (performance.now() > until) return;
  }
}
