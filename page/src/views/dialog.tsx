// A dialog over the page. The browser keeps the focus inside, and gives it back.
import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { words } from "../words.ts";
import { IconButton } from "./button.tsx";

interface Given {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}

export function Dialog({ title, onClose, children }: Given) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useLayoutEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    return () => shown?.close();
  }, []);
  const onClick = (event: MouseEvent): void => void (event.target === dialog.current && onClose());
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose} onClick={onClick}>
      <div class="sheet">
        <header>
          <h2 id={id}>{title}</h2>
          <IconButton shape="close" label={words.value.close} onClick={onClose} />
        </header>
        {children}
      </div>
    </dialog>
  );
}
