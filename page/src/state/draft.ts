// What is being written.
import { signal } from "@preact/signals";
import type { Part } from "../api.ts";
import { words } from "../words.ts";
import { notice } from "./notice.ts";

export interface Draft {
  text: string;
  pictures: readonly Part[];
}

const MOST = 4;
const LARGEST = 8 * 1024 * 1024; // bytes of a picture as it is sent
const KINDS = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]);

export const draft = signal<Draft>({ text: "", pictures: [] });

export const write = (text: string): void => void (draft.value = { ...draft.value, text });

/** Put back what was not taken, before what has been written since. */
export function restore(text: string, given: readonly Part[]): void {
  const { text: since, pictures } = draft.value;
  draft.value = { text: [text, since].filter((one) => one.trim()).join("\n\n"), pictures: [...given, ...pictures] };
}

/** Add pictures from files, as many as there may be. */
export async function attach(files: Iterable<File>): Promise<void> {
  const wanted = [...files];
  const taken = wanted.filter((file) => KINDS.has(file.type) && file.size <= LARGEST);
  const read = await Promise.all(taken.map(dataUrl));
  const { text, pictures } = draft.value;
  const all = [...pictures, ...read.map((data_url): Part => ({ type: "image", data_url }))];
  draft.value = { text, pictures: all.slice(0, MOST) };
  if (taken.length < wanted.length || all.length > MOST) notice.value = { text: words.value.pictureRefused };
}

export function detach(picture: Part): void {
  draft.value = { ...draft.value, pictures: draft.value.pictures.filter((other) => other !== picture) };
}

function dataUrl(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error ?? new Error("unreadable"));
    reader.readAsDataURL(file);
  });
}
