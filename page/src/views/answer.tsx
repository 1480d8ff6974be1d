// An answer: what was thought, what was said, how it ended, and what can be done with it.
import type { Message, Part } from "../api.ts";
import type { Turn } from "../model/tree.ts";
import { goOn, regenerate } from "../state/asking.ts";
import { canGoOn, cutOf } from "../state/endings.ts";
import { lives, rates, type Live, type View } from "../state/live.ts";
import { retrying } from "../state/trying.ts";
import { words } from "../words.ts";
import { Branches } from "./branches.tsx";
import { CopyButton, IconButton } from "./button.tsx";
import { Prose } from "./prose.tsx";
import { Thoughts, ToolCall } from "./workings.tsx";

export function Answer({ turn }: { turn: Turn }) {
  const [first, ...rest] = turn.messages;
  const last = rest.at(-1) ?? first;
  const live = lives.value.get(last.id);
  const view = live?.view.value;
  const busy = last.state === null;
  const text = turn.messages.map((message) => (message === last && view ? view.text : message.text)).join("");
  const parts = turn.messages.flatMap((message) => (message === last && view ? [] : message.parts));
  return (
    <article class="answer" aria-label={words.value.answer} aria-busy={busy} data-state={last.state ?? "open"}>
      <Workings parts={parts} live={view} busy={busy && !text} />
      {(text || !busy) && <Prose text={text} done={!busy} />}
      {busy && !text && !view?.reasoning && <Dots />}
      <Refusals parts={parts} />
      {busy ? <Progress live={live} /> : <Ended first={first} last={last} text={text} />}
    </article>
  );
}

const Dots = () => (
  <div class="dots" aria-hidden="true">
    <i />
    <i />
    <i />
  </div>
);

function Workings({ parts, live, busy }: { parts: Part[]; live: View | undefined; busy: boolean }) {
  const thoughts = parts.map((part) => (part.type === "reasoning" ? part.text : "")).join("\n\n").trim() || live?.reasoning;
  const kept = parts.filter((part) => part.type === "tool");
  return (
    <>
      {thoughts && <Thoughts text={thoughts} busy={busy} />}
      {[...kept, ...(live?.tools ?? [])].map((tool, at) => (
        <ToolCall key={at} name={tool.name} given={tool.arguments} />
      ))}
    </>
  );
}

const Refusals = ({ parts }: { parts: Part[] }) => <>{parts.map((part) => part.type === "refusal" && <p class="refusal">{part.text}</p>)}</>;

/** What hinders an answer that grows, and what can be done; else how fast it is. */
function Progress({ live }: { live: Live | undefined }) {
  const lost = hindrance(live);
  const perSecond = live?.view.value.perSecond;
  return (
    <div class="progress">
      <div role="status">
        {lost && (
          <div class="notice">
            <p>{lost}</p>
            {live && (
              <button type="button" class="plain" onClick={live.rejoin}>
                {words.value.reconnect}
              </button>
            )}
          </div>
        )}
      </div>
      {perSecond && !lost && <span class="figures">{words.value.perSecond(perSecond.toFixed(0))}</span>}
    </div>
  );
}

function hindrance(live: Live | undefined): string | null {
  const said = words.value;
  if (!live) return retrying.value ? said.unreachable : null;
  const { link } = live.view.value;
  return link === "offline" ? said.offline : link === "waiting" ? said.waiting : null;
}

function Ended({ first, last, text }: { first: Message; last: Message; text: string }) {
  const cut = cutOf(last);
  const again = (): void => void regenerate(first);
  return (
    <>
      {cut && (
        <div class="notice" data-kind={last.state === "failed" ? "bad" : undefined}>
          <p>{cut}</p>
          {canGoOn(last) && (
            <button type="button" class="plain" onClick={() => void goOn(last)}>
              {words.value.goOn}
            </button>
          )}
          <button type="button" class="plain" onClick={again}>
            {words.value.tryAgain}
          </button>
        </div>
      )}
      <div class="actions">
        <Branches message={first} />
        {text && <CopyButton text={() => text} />}
        <IconButton shape="again" label={words.value.regenerate} onClick={again} />
        <Figures message={last} />
      </div>
    </>
  );
}

/** Which model it was, what it used, and how fast it was. */
function Figures({ message: { id, model, usage, state } }: { message: Message }) {
  const rate = state === "completed" ? rates.get(id) : null;
  const figures = [
    model,
    usage && words.value.usage(usage.input, usage.output, usage.exact),
    rate && words.value.perSecond(rate.toFixed(0)),
  ];
  return <span class="figures">{figures.filter(Boolean).join(" · ")}</span>;
}
