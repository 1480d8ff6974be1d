// The streams, those that are open first.
import { computed, signal } from "@preact/signals";
import { session } from "../state/session.ts";
import { age, count, digits } from "./format.ts";
import { overview, type Stream } from "./overview.ts";
import { stop, stopping } from "./stopping.ts";
import { watched } from "./watch.tsx";
import { words } from "./words.ts";

const onlyOpen = signal(false);

const shown = computed(() => (overview.value?.streams ?? []).filter(({ state }) => !onlyOpen.value || state === "open"));
/** Whether there are streams of others among them. */
const owners = computed(() => shown.value.some(({ owner }) => owner !== undefined && owner !== session.value?.owner));

export function Table() {
  const said = words.value;
  return (
    <section class="streams" aria-labelledby="streams">
      <header>
        <h2 id="streams">{said.streams}</h2>
        <Filter />
      </header>
      {shown.value.length === 0 ? <p class="none">{onlyOpen.value ? said.noneOpen : said.none}</p> : <Rows />}
    </section>
  );
}

function Filter() {
  const said = words.value;
  const choice = (open: boolean, name: string) => (
    <button type="button" aria-pressed={onlyOpen.value === open} onClick={() => (onlyOpen.value = open)}>
      {name}
    </button>
  );
  return (
    <div class="filter" role="group" aria-label={said.filter}>
      {choice(false, said.all)}
      {choice(true, said.onlyOpen)}
    </div>
  );
}

function Rows() {
  const said = words.value;
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">{said.model}</th>
          <th scope="col">{said.state}</th>
          <th scope="col" class="number">{said.age}</th>
          <th scope="col" class="number" title={said.tokensTold}>{said.tokens}</th>
          <th scope="col" class="number">{said.rate}</th>
          <th scope="col" class="number">{said.readers}</th>
          {owners.value && <th scope="col">{said.owner}</th>}
          <th scope="col"><span class="spoken">{said.actions}</span></th>
        </tr>
      </thead>
      <tbody>
        {shown.value.map((stream) => (
          <Row key={stream.id} stream={stream} />
        ))}
      </tbody>
    </table>
  );
}

function Row({ stream }: { stream: Stream }) {
  const said = words.value;
  const { id, owner, model, upstream, state, reason, age: seconds, records, rate, readers } = stream;
  const open = state === "open";
  return (
    <tr data-state={state} aria-current={watched.value?.id === id ? "true" : undefined}>
      <th scope="row">
        <span class="model-name">{model}</span> <span class="soft">{upstream}</span>
        <code class="soft">{id}</code>
      </th>
      <td class="state">
        <span class="dot" /> {said.states[state]} {reason && reason !== "stop" && <span class="soft">{reason}</span>}
      </td>
      <td class="number" data-name={said.age}>{age(seconds)}</td>
      <td class="number" data-name={said.tokens}>{count(records)}</td>
      <td class="number" data-name={said.rate}>{open ? digits(rate) : "–"}</td>
      <td class="number" data-name={said.readers}>{open ? count(readers) : "–"}</td>
      {owners.value && <td data-name={said.owner}>{owner}</td>}
      <td class="acts">
        <button type="button" aria-label={said.of(said.watch, model, id)} onClick={() => (watched.value = stream)}>
          {said.watch}
        </button>
        {open && <Stop stream={stream} />}
      </td>
    </tr>
  );
}

export function Stop({ stream }: { stream: Stream }) {
  const said = words.value;
  const asked = stopping.value.has(stream.id);
  return (
    <button type="button" class="stop" disabled={asked} aria-label={said.of(said.stop, stream.model, stream.id)} onClick={() => void stop(stream)}>
      {asked ? said.stopping : said.stop}
    </button>
  );
}
