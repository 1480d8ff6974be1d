// The bar over the conversation: the list, the model, a new conversation.
import { model, choose, models } from "../state/models.ts";
import { listShown, narrow } from "../state/screen.ts";
import { link } from "../state/watching.ts";
import { words } from "../words.ts";
import { IconButton } from "./button.tsx";
import { Icon } from "./icon.tsx";
import { beginHere } from "./list.tsx";

export const Bar = () => (
  <header class="bar">
    {!listShown.value && <IconButton shape="menu" label={words.value.openList} onClick={() => (listShown.value = true)} />}
    <ModelPicker />
    <span class="gap" />
    {(link.value === "waiting" || link.value === "offline") && (
      <span class="link" role="status">
        {words.value.connecting}
      </span>
    )}
    {(narrow.value || !listShown.value) && <IconButton shape="plus" label={words.value.newChat} onClick={beginHere} />}
  </header>
);

function ModelPicker() {
  const known = models.value;
  const chosen = model.value;
  const all = chosen && !known.includes(chosen) ? [chosen, ...known] : known;
  return (
    <span class="picker">
      <select class="model" aria-label={words.value.model} value={chosen} disabled={all.length === 0} onChange={(event) => choose(event.currentTarget.value)}>
        {all.length === 0 && <option value="">{words.value.noModels}</option>}
        {all.map((id) => (
          <option key={id} value={id}>
            {id}
          </option>
        ))}
      </select>
      <Icon shape="fold" />
    </span>
  );
}
