// Named characters ("&rarr;"), as the browser knows them. In the built page this stands for the package of the same name,
// which markdown-it imports one function of: its table is a tenth of the page.
import { sanitized } from "./sanitize.ts";

/** More than there are names; what a model invents is forgotten again. */
const MOST = 4096;

const known = new Map<string, string>();

/** The character that a complete reference stands for; the reference itself where it stands for none. */
export function decodeHTMLStrict(reference: string): string {
  const found = known.get(reference);
  if (found !== undefined) return found;
  if (known.size >= MOST) known.clear();
  const decoded = decode(reference);
  known.set(reference, decoded);
  return decoded;
}

/** A browser reads the beginning of "&notit;" as "¬" too, for the sake of old pages: then the semicolon is left over. */
function decode(reference: string): string {
  const { textContent } = sanitized(reference);
  return textContent.length > 1 && textContent.endsWith(";") ? reference : textContent;
}
