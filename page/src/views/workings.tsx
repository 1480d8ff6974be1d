// What stands behind an answer: thoughts and calls of tools, folded away.
import { words } from "../words.ts";
import { Icon } from "./icon.tsx";

export const Thoughts = ({ text, busy }: { text: string; busy: boolean }) => (
  <details class="workings">
    <summary data-busy={busy ? "" : undefined}>{busy ? words.value.thinking : words.value.thought}</summary>
    <div class="thoughts">{text}</div>
  </details>
);

export const ToolCall = ({ name, given }: { name: string; given: string }) => (
  <details class="workings">
    <summary>
      <Icon shape="tool" />
      {words.value.toolCalled(name)}
    </summary>
    <pre tabIndex={0}>{indented(given)}</pre>
  </details>
);

function indented(given: string): string {
  try {
    return JSON.stringify(JSON.parse(given), null, 2);
  } catch {
    return given; // it still grows, or is no JSON
  }
}
