// What is shown before anything has been said.
import { send } from "../state/asking.ts";
import { words } from "../words.ts";
import { Mark } from "./icon.tsx";

export const Empty = () => (
  <div class="empty">
    <Mark />
    <h1>{words.value.greeting}</h1>
    <p>{words.value.durable}</p>
    <ul>
      {words.value.examples.map((example) => (
        <li key={example}>
          <button type="button" onClick={() => void send(example, [])}>
            {example}
          </button>
        </li>
      ))}
    </ul>
  </div>
);
