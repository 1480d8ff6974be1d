// Asks before something that cannot be taken back.
import { words } from "../words.ts";
import { Dialog } from "./dialog.tsx";

interface Given {
  title: string;
  told: string;
  doing: string;
  onDo: () => void;
  onClose: () => void;
}

export const Confirmation = ({ title, told, doing, onDo, onClose }: Given) => (
  <Dialog title={title} onClose={onClose}>
    <p>{told}</p>
    <div class="choices">
      <button type="button" class="plain" onClick={onClose}>
        {words.value.cancel}
      </button>
      <button type="button" class="main" data-kind="bad" onClick={() => (onClose(), onDo())}>
        {doing}
      </button>
    </div>
  </Dialog>
);
