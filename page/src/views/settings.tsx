// How answers are asked for in this conversation, and how this browser shows the page.
import type { ComponentChildren } from "preact";
import type { Settings as Sampling } from "../api.ts";
import { prefer, preferences, type Language, type Theme } from "../preferences.ts";
import { configure, shown } from "../state/conversation.ts";
import { tell } from "../state/notice.ts";
import { settingsShown } from "../state/screen.ts";
import { session, signOut } from "../state/session.ts";
import { words } from "../words.ts";
import { Dialog } from "./dialog.tsx";

export function Settings() {
  if (!settingsShown.value) return null;
  return (
    <Dialog title={words.value.settings} onClose={() => (settingsShown.value = false)}>
      <Conversation />
      <Browser />
      {session.value?.protected && (
        <button type="button" class="plain" onClick={() => void leave()}>
          {words.value.signOut}
        </button>
      )}
    </Dialog>
  );
}

/** Nobody is to think that a session has ended which has not. */
async function leave(): Promise<void> {
  try {
    await signOut();
  } catch (error) {
    settingsShown.value = false;
    tell(error, () => void leave());
  }
}

function Conversation() {
  const said = words.value;
  const { settings } = shown.value;
  const set = (name: keyof Sampling, value: string | number | undefined): void => {
    const { [name]: _, ...others } = settings;
    configure(value === undefined || value === "" ? others : { ...others, [name]: value });
  };
  return (
    <fieldset>
      <legend>{said.thisConversation}</legend>
      <label class="field" data-wide>
        <span>{said.system}</span>
        <textarea rows={3} placeholder={said.systemHint} value={settings.system ?? ""} onChange={(event) => set("system", event.currentTarget.value)} />
      </label>
      <Figure name={said.temperature} value={settings.temperature} most={2} step={0.1} onSet={(value) => set("temperature", value)} />
      <Figure name={said.topP} value={settings.top_p} most={1} step={0.05} onSet={(value) => set("top_p", value)} />
      <Figure name={said.maxTokens} value={settings.max_tokens} least={1} most={1_000_000} step={1} onSet={(value) => set("max_tokens", value)} />
    </fieldset>
  );
}

interface Range {
  name: string;
  value: number | undefined;
  least?: number;
  most: number;
  step: number;
  onSet: (value: number | undefined) => void;
}

function Figure({ name, value, least = 0, most, step, onSet }: Range) {
  const onChange = (event: Event & { currentTarget: HTMLInputElement }): void => {
    const { valueAsNumber: given } = event.currentTarget;
    onSet(Number.isNaN(given) ? undefined : Math.min(most, Math.max(least, given)));
  };
  return (
    <label class="field">
      <span>{name}</span>
      <input type="number" min={least} max={most} step={step} placeholder={words.value.ownDefault} value={value ?? ""} onChange={onChange} />
    </label>
  );
}

function Browser() {
  const said = words.value;
  const { theme, language, streaming, timeout } = preferences.value;
  return (
    <fieldset>
      <legend>{said.thisBrowser}</legend>
      <Choice name={said.theme} value={theme} onSet={(value) => prefer({ theme: value as Theme })}>
        <option value="system">{said.themeSystem}</option>
        <option value="light">{said.themeLight}</option>
        <option value="dark">{said.themeDark}</option>
      </Choice>
      <Choice name={said.language} value={language ?? ""} onSet={(value) => prefer({ language: (value || null) as Language | null })}>
        <option value="">{said.languageSystem}</option>
        <option value="en">English</option>
        <option value="zh">简体中文</option>
      </Choice>
      <Figure name={said.timeout} value={timeout} least={5} most={600} step={5} onSet={(value) => prefer({ timeout: value ?? 30 })} />
      <label class="field">
        <span>{said.streaming}</span>
        <input type="checkbox" role="switch" checked={streaming} onChange={(event) => prefer({ streaming: event.currentTarget.checked })} />
      </label>
    </fieldset>
  );
}

interface Options {
  name: string;
  value: string;
  onSet: (value: string) => void;
  children: ComponentChildren;
}

const Choice = ({ name, value, onSet, children }: Options) => (
  <label class="field">
    <span>{name}</span>
    <select value={value} onChange={(event) => onSet(event.currentTarget.value)}>
      {children}
    </select>
  </label>
);
