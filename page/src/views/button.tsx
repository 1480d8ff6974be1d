// A button that is a sign, with its name for those who do not see it.
import { useState } from "preact/hooks";
import { copyText } from "../state/clipboard.ts";
import { words } from "../words.ts";
import { Icon, type Shape } from "./icon.tsx";

interface Given {
  shape: Shape;
  label: string;
  onClick?: () => void;
  disabled?: boolean;
  class?: string;
  id?: string;
}

export const IconButton = ({ shape, label, onClick, disabled = false, class: extra = "", id }: Given) => (
  <button type="button" id={id} class={`sign ${extra}`} aria-label={label} title={label} disabled={disabled} onClick={onClick}>
    <Icon shape={shape} />
  </button>
);

const SHOWN = 1500; // milliseconds

/** Copies a text, and says for a moment that it has. */
export function CopyButton({ text }: { text: () => string }) {
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await copyText(text());
    setCopied(true);
    setTimeout(() => setCopied(false), SHOWN);
  };
  return <IconButton shape={copied ? "check" : "copy"} label={copied ? words.value.copied : words.value.copy} onClick={() => void copy()} />;
}
