"""The text of an API key: a prefix that scanners know, chance, and a checksum; and what is kept of it.

The checksum tells a key that was cut or mistyped, and other people's tokens, from one of ours without a look-up; it
makes no key harder to guess. That is the 238 bits of chance, for which a fast digest is enough.
"""

import hashlib
import re
import secrets
import string
import zlib

PREFIX = "hr_"

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM = 40
_CHECK = 6
_OURS = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM + _CHECK}}}")


def new_key() -> str:
    """A new key: the prefix, 40 random characters and 6 of checksum, all letters and digits."""
    text = PREFIX + "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM))
    return text + _checksum(text)


def is_new_key(secret: bytes) -> bool:
    """Whether a text is of the form that :func:`new_key` makes, its checksum included."""
    text = secret.decode("latin-1")
    return _OURS.fullmatch(text) is not None and _checksum(text[:-_CHECK]) == text[-_CHECK:]


def digest_of(secret: bytes) -> bytes:
    """What is kept of an API key: its SHA-256. The key has the entropy, so no slow hash is needed."""
    return hashlib.sha256(secret).digest()


def id_of(digest: bytes) -> str:
    """A key's id: enough of its digest to tell keys apart, too little to be of use."""
    return digest[:6].hex()


def _checksum(text: str) -> str:
    """CRC32 in base 62, as GitHub has it in its tokens."""
    rest, digits = zlib.crc32(text.encode("ascii")), ""
    for _ in range(_CHECK):
        rest, digit = divmod(rest, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
