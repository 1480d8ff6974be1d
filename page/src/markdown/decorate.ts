// What an answer's nodes get beside what the model wrote: hosts of links, links instead of pictures, and buttons to copy.
import { hostOf, permitted, tells } from "./addresses.ts";
import { words } from "./words.ts";

/** Complete nodes that have been made clean. */
export function decorate(fragment: DocumentFragment): void {
  for (const picture of fragment.querySelectorAll<HTMLElement>("span[data-image]")) showPicture(picture);
  for (const link of fragment.querySelectorAll("a")) showLink(link);
  for (const code of fragment.querySelectorAll("pre")) frameCode(code);
  for (const table of fragment.querySelectorAll("table")) frameTable(table);
}

/** A picture is not loaded: that would tell its server of the reader, and what the model wrote into the address. */
function showPicture(picture: HTMLElement): void {
  const address = picture.dataset["image"] ?? "";
  const name = picture.textContent.trim();
  if (picture.closest("a") || !permitted(address)) return picture.replaceWith(name);
  const link = element("a", "image");
  link.href = address;
  link.textContent = words().openImage(name, hostOf(address));
  picture.replaceWith(link);
}

function showLink(link: HTMLAnchorElement): void {
  const address = link.getAttribute("href") ?? "";
  if (!permitted(address)) return link.replaceWith(...link.childNodes);
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  if (link.className === "image" || tells(link.textContent, address)) return;
  const host = element("bdi", "host");
  host.textContent = hostOf(address);
  link.append(" ", host);
}

function frameCode(code: HTMLElement): void {
  const frame = element("figure", "code");
  const head = element("figcaption");
  const name = element("span");
  const copy = element("button", "copy");
  copy.type = "button";
  name.textContent = code.dataset["language"] ?? "";
  copy.textContent = words().copy;
  head.append(name, copy);
  code.tabIndex = 0; // it scrolls, with keys too
  code.replaceWith(frame);
  frame.append(head, code);
}

function frameTable(table: HTMLTableElement): void {
  const frame = element("div", "table");
  frame.tabIndex = 0;
  table.replaceWith(frame);
  frame.append(table);
}

function element<Name extends keyof HTMLElementTagNameMap>(name: Name, kind = ""): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  return made;
}
