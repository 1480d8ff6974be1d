// Exchanges a key for a session. The key goes to the server once, and is kept nowhere.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { explained } from "../state/notice.ts";
import { signIn, Unkept } from "../state/session.ts";
import { Refused } from "../headrace.ts";
import { words } from "../words.ts";
import { Mark } from "./icon.tsx";

export function SignIn() {
  const said = words.value;
  const input = useRef<HTMLInputElement>(null);
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  useLayoutEffect(() => input.current?.focus(), []);
  const enter = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    try {
      await signIn(input.current?.value ?? "");
    } catch (error) {
      setBusy(false);
      setWrong(told(error));
      input.current?.select();
    }
  };
  return (
    <main class="sign-in">
      <form onSubmit={(event) => void enter(event)}>
        <Mark />
        <h1>{said.signInTitle}</h1>
        <p id="told">{said.signInTold}</p>
        <label>
          <span>{said.key}</span>
          <input ref={input} type="password" required autocomplete="current-password" aria-describedby="told" aria-invalid={wrong !== ""} />
        </label>
        <p class="wrong" role="alert">
          {wrong}
        </p>
        <button type="submit" class="main" disabled={busy}>
          {said.signIn}
        </button>
      </form>
    </main>
  );
}

function told(error: unknown): string {
  const said = words.value;
  if (error instanceof Unkept) return said.unkept;
  return error instanceof Refused && error.status === 401 ? said.wrongKey : explained(error);
}
