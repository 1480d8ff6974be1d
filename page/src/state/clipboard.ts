// The clipboard, also on pages that came by plain HTTP, where browsers have no clipboard of their own.
import { words } from "../words.ts";
import { announce } from "./announcer.ts";

export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) await navigator.clipboard.writeText(text);
  else copySelected(text);
  announce(words.value.copied);
}

function copySelected(text: string): void {
  const area = document.createElement("textarea");
  const before = document.activeElement;
  area.value = text;
  area.className = "spoken";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  if (before instanceof HTMLElement) before.focus();
}
