// Which addresses an answer may link to, and how they are shown.

const SCHEMES = new Set(["http:", "https:", "mailto:"]);

/**
 * Whether an answer may link there: to the web and to mailboxes. Not to this server itself, where a link could act in the
 * name of whoever follows it; nor to an address without a host of its own, which would be this server's.
 */
export function permitted(address: string): boolean {
  const url = parsed(address);
  return url !== null && SCHEMES.has(url.protocol) && url.origin !== globalThis.location?.origin;
}

/** Who is behind an address, in ASCII: a letter that only looks like another one is seen. */
export function hostOf(address: string): string {
  const url = parsed(address);
  if (!url) return "";
  return url.host || decoded(url.pathname).split("@").at(-1) || "";
}

/** Whether a link's own text shows its host where readers look for it. */
export function tells(text: string, address: string): boolean {
  const shown = text.replace(/^[a-z]+:(\/\/)?/i, "");
  const host = hostOf(address);
  return shown === host || shown.startsWith(`${host}/`) || (address.startsWith("mailto:") && shown.endsWith(`@${host}`));
}

function parsed(address: string): URL | null {
  try {
    return new URL(address);
  } catch {
    return null;
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
