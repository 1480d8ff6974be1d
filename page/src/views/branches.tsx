// Between the versions of a question or an answer.
import type { Message } from "../api.ts";
import { branch, tree } from "../state/conversation.ts";
import { words } from "../words.ts";
import { IconButton } from "./button.tsx";

export function Branches({ message }: { message: Message }) {
  const beside = tree.value.beside(message);
  if (beside.length < 2) return null;
  const at = beside.findIndex((other) => other.id === message.id);
  const go = (step: number) => () => {
    const other = beside[at + step];
    if (other) branch(other);
  };
  return (
    <span class="branches" role="group" aria-label={words.value.version(at + 1, beside.length)}>
      <IconButton shape="left" label={words.value.before} disabled={at === 0} onClick={go(-1)} />
      <span aria-hidden="true">
        {at + 1}/{beside.length}
      </span>
      <IconButton shape="right" label={words.value.after} disabled={at === beside.length - 1} onClick={go(1)} />
    </span>
  );
}
