// The models that can be asked.
import { computed, signal } from "@preact/signals";
import { models as fetched } from "../api.ts";
import { prefer, preferences } from "../preferences.ts";
import { configure, shown, type Shown } from "./conversation.ts";
import { tell } from "./notice.ts";

export const models = signal<readonly string[]>([]);

export async function loadModels(): Promise<void> {
  try {
    models.value = (await fetched()).data.map((model) => model.id);
  } catch (error) {
    tell(error, () => void loadModels());
  }
}

/** The model that a conversation's next answer is asked of. */
export const modelOf = ({ settings }: Pick<Shown, "settings">): string =>
  settings.model || preferences.value.model || models.value[0] || "";

export const model = computed(() => modelOf(shown.value));

/** Ask another model from now on, in new conversations too. */
export function choose(id: string): void {
  prefer({ model: id });
  configure({ ...shown.value.settings, model: id });
}
