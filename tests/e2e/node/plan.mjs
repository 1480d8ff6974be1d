// A plan comes in as JSON, {cases, …}; every case is played, so many at a time, and the results go out as JSON.
import { readFileSync } from "node:fs";

export async function run(play, atOnce = 1) {
  const plan = JSON.parse(readFileSync(0, "utf8"));
  const waiting = plan.cases.map((one, number) => [number, one]);
  const results = [];
  const work = async () => {
    for (let next; (next = waiting.shift()); ) results[next[0]] = await play(next[1], plan);
  };
  const alive = setInterval(() => {}, 1000); // an EventSource that waits to reconnect does not keep Node running
  await Promise.all(Array.from({ length: atOnce }, work));
  clearInterval(alive);
  process.stdout.write(JSON.stringify(results));
}

// Everything that an error shows of itself.
export const text = (error) =>
  `${error}${error.stack}${JSON.stringify(error.error ?? null)}${error.cause ? text(error.cause) : ""}`;
