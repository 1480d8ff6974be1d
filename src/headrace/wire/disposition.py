"""The name under which a body is saved: Content-Disposition, safe for headers and for whoever saves it.

Source: RFC 6266 (the header), RFC 8187 (``filename*``), the advice on names in section 4.3 of the former.
"""

import unicodedata
from urllib.parse import quote

#: Bytes of UTF-8 that a name may have: what file systems take.
MAX_NAME = 240

_UNNAMED = "download"
#: Characters that end a path or that Windows gives a meaning of their own.
_RESERVED = str.maketrans(dict.fromkeys('<>:"|?*%', "_"))
#: Categories that nobody sees: controls, overrides of the writing direction, halves of pairs, line separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def attachment(name: str) -> str:
    """The header's value for a body that is saved as ``name``; whatever the name holds, it is one ASCII line."""
    safe = safe_name(name)
    plain = unicodedata.normalize("NFKD", safe).encode("ascii", "ignore").decode().strip(" .") or _UNNAMED
    if plain == safe:
        return f'attachment; filename="{plain}"'
    plain = safe_name(plain)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}"


def safe_name(name: str) -> str:
    """A file's name out of any text: no folder, nothing unseen, nothing reserved, never empty, not hidden."""
    name = name.replace("\\", "/").rpartition("/")[2]
    name = "".join(c for c in name if unicodedata.category(c) not in _UNSEEN)
    return _short(name.translate(_RESERVED).strip(" .")) or _UNNAMED


def _short(name: str) -> str:
    """The name within its bound, with its extension where that is a short one."""
    if len(name.encode()) <= MAX_NAME:
        return name
    stem, dot, extension = name.rpartition(".")
    tail = dot + extension if stem and len(extension.encode()) <= 16 else ""
    head = (stem if tail else name).encode()[: MAX_NAME - len(tail.encode())].decode(errors="ignore")
    return head + tail
