// Nodes that are shown become others, and stay the same nodes where they can: a selection lives, and little is laid out anew.

/** Make these the children of `parent` from `from` on; those after them stay. */
export function patchChildren(parent: Node, fresh: readonly Node[], from: number): void {
  fresh.forEach((node, index) => place(parent, parent.childNodes[from + index], node));
}

/** Remove the children after so many. */
export function trimChildren(parent: Node, count: number): void {
  while (parent.childNodes.length > count) parent.lastChild?.remove();
}

function place(parent: Node, old: ChildNode | undefined, fresh: Node): void {
  if (!old) parent.appendChild(fresh);
  else if (!alike(old, fresh)) old.replaceWith(fresh);
  else if (old instanceof Text) write(old, (fresh as Text).data);
  else {
    const children = [...fresh.childNodes];
    patchChildren(old, children, 0);
    trimChildren(old, children.length);
  }
}

function alike(old: Node, fresh: Node): boolean {
  if (old.nodeName !== fresh.nodeName) return false;
  if (!(old instanceof Element && fresh instanceof Element)) return true;
  const attributes = [...fresh.attributes];
  return old.attributes.length === attributes.length && attributes.every(({ name, value }) => old.getAttribute(name) === value);
}

function write(text: Text, data: string): void {
  if (text.data === data) return;
  if (data.startsWith(text.data)) text.appendData(data.slice(text.data.length));
  else text.data = data;
}
