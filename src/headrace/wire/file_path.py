"""The path of a file in a URL, as the names that lead to it from the folder that is served.

A name is refused, not repaired: each file has one spelling, and what is refused is "not found" like anything that is
not there. A server has read the percent signs once; what is left of them is part of a name.
"""

import re
import unicodedata
from collections.abc import Sequence

from headrace.errors import NotFound

#: Bytes of UTF-8 in a path and in a name, and how deep folders lie.
MAX_PATH, MAX_NAME, MAX_DEPTH = 2048, 255, 32

#: What ends a path or a name on some system, or opens a stream beside the file; and what stands for bytes that were no
#: UTF-8, overlong ones too.
_REFUSED = frozenset("/\\:\ufffd")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Names that are devices wherever they stand, with any extension (Windows).
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])[ ]*(\..*)?", re.IGNORECASE)


def names_in(path: str) -> Sequence[str]:
    """The names in a path, folders first, at least one. Raises NotFound."""
    names = path.split("/")
    if len(names) > MAX_DEPTH or len(path) > MAX_PATH or not all(_is_name(name) for name in names):
        raise NotFound("There is no such file.")
    return names


def _is_name(name: str) -> bool:
    """Whether a name can only be that of something below. Hidden ones are nobody's (``.env``, ``.git``)."""
    if not name or name.startswith(".") or name.endswith((".", " ")):
        return False
    if any(c in _REFUSED or unicodedata.category(c) in _UNSEEN for c in name):
        return False
    return len(name.encode()) <= MAX_NAME and not _DEVICE.fullmatch(name)
