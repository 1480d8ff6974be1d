// The numbers at the top, and beside the streams: how streams ended, what went wrong, how the stores are.
import { age, bytes, count, duration } from "./format.ts";
import { overview, rate, type Overview } from "./overview.ts";
import { words } from "./words.ts";

export function Tiles({ told }: { told: Overview }) {
  const said = words.value;
  return (
    <dl class="tiles">
      <Tile name={said.open} value={count(told.open)} />
      <Tile name={said.readers} value={count(told.readers)} />
      <Tile name={said.rate} value={count(rate.value)} note={said.ofShown} />
      <Tile name={said.firstToken} value={duration(told.first.upstream?.p50)} note={said.ofUpstream} />
      <Tile name={said.lag} value={duration(told.loop_lag.p99)} note={said.p99} />
      <Tile name={said.memory} value={bytes(told.memory)} note={said.ofWorkers} />
    </dl>
  );
}

const Tile = ({ name, value, note }: { name: string; value: string; note?: string }) => (
  <div>
    <dt>{name}</dt>
    <dd>
      {value} {note && <small>{note}</small>}
    </dd>
  </div>
);

export function Facts() {
  const told = overview.value;
  if (!told) return null;
  return (
    <div class="facts">
      <Ended ended={told.ended} />
      <Errors errors={told.errors} />
      <Stores told={told} />
    </div>
  );
}

function Ended({ ended }: { ended: Overview["ended"] }) {
  const said = words.value;
  return (
    <section aria-labelledby="ended">
      <h2 id="ended">{said.ended}</h2>
      <dl class="list">
        {(["completed", "failed", "cancelled", "interrupted"] as const).map((state) => (
          <div key={state} data-state={state}>
            <dt>
              <span class="dot" /> {said.states[state]}
            </dt>
            <dd>{count(ended[state])}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Errors({ errors }: { errors: Overview["errors"] }) {
  const said = words.value;
  const most = Math.max(1, ...errors.map((error) => error.count));
  return (
    <section aria-labelledby="errors">
      <h2 id="errors">{said.errors}</h2>
      {errors.length === 0 && <p class="none">{said.noErrors}</p>}
      <dl class="list">
        {errors.map((error) => (
          <div key={error.reason}>
            <dt>
              <code>{error.reason}</code>
              <meter min={0} max={most} value={error.count} aria-hidden="true" />
            </dt>
            <dd>{count(error.count)}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Stores({ told }: { told: Overview }) {
  const said = words.value;
  return (
    <section aria-labelledby="stores">
      <h2 id="stores">{said.stores}</h2>
      <dl class="list">
        {told.stores.map(({ name, kind, healthy, since }) => (
          <div key={name} data-state={healthy ? "completed" : "failed"}>
            <dt>
              <span class="dot" /> {name} <span class="soft">{kind}</span>
            </dt>
            <dd>
              {healthy ? said.healthy : said.unhealthy} {!healthy && <span class="soft">{said.since(age(told.time - since))}</span>}
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
