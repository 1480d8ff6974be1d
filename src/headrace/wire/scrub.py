"""Upstreams' error texts, made fit for a client: capped, without credentials, addresses and control characters.

Every pattern is anchored at the start of a word and cannot match in two ways, so that the time is linear in the text.
"""

import re
import unicodedata

_MAX_INPUT = 4000
_HIDDEN = "[redacted]"

_KEY_PREFIXES = (
    r"(?:sk|pk|rk|sess|gsk|xai|pplx|nvapi|glpat|key|r8|hf|fw|tgp|gh[opsur]|github_pat|xox[abeoprs]|whsec|hr)[-_]"
)
_CREDENTIAL_WORDS = (
    r"(?:(?:x-)?(?:api|access|subscription|account|secret|private)[-_ ]?(?:key|token)|"
    r"token|secret|password|passwd|authorization|credentials?|signature|sig)"
)
_LAST_LABELS = r"(?:com|net|org|io|ai|dev|app|cloud|internal|local|localhost|corp|lan|svc|test|example)"
_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), replacement)
    for pattern, replacement in (
        (r"-----BEGIN .*", _HIDDEN),
        # URLs, and names of hosts without a scheme; what stands before an @ goes with them.
        (r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{1,20}://\S+", "[url]"),
        (rf"(?<![\w@.-])(?:[\w.+-]{{1,64}}@)?(?:[a-z0-9-]{{1,63}}\.){{1,10}}{_LAST_LABELS}(?![\w-])[:/]?\S*", "[url]"),
        (r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?(?![\w.])", "[address]"),
        (r"(?<!\w)localhost(?::\d{1,5})?(?!\w)", "[address]"),
        (r"(?<!\w)(?:bearer|basic)\s+(?=\S{8})\S+", _HIDDEN),
        (r"(?<![\w-])arn:aws[\w-]*:\S+", _HIDDEN),
        # Such as "Incorrect API key provided: abc" and "api_key=abc".
        (
            rf"(?<![\w-])({_CREDENTIAL_WORDS})(\s+(?:provided|is|was))?(\s*[:=]\s*|\s+)[\"'`(]*(?=\S*\d|\S*\*)\S{{6,}}",
            None,
        ),
        (rf"(?<![\w-]){_KEY_PREFIXES}(?=[^\s]*[\d*.…])[\w*.…-]{{6,}}", _HIDDEN),
        (r"(?<!\w)(?:A[KS]IA|ABIA|ACCA)[A-Z0-9]{12,}", _HIDDEN),
        (r"(?<!\w)(?:AIza|ya29\.|AQ\.)[\w.-]{10,}", _HIDDEN),
        (r"(?<!\w)eyJ[\w-]{8,}(?:\.[\w-]*){0,4}", _HIDDEN),
        # Whatever else is long, dense and has a digit: hex and base64.
        (r"(?<![A-Za-z0-9+/=])(?=[A-Za-z+/=]*\d)[A-Za-z0-9+/=]{32,}", _HIDDEN),
        (r"(?<![\w-])(?=[A-Za-z_-]*\d)[\w-]{48,}", _HIDDEN),
    )
)


def scrubbed(text: str, limit: int) -> str:
    """The text in one line, fit for a client, at most ``limit`` characters long."""
    if len(text) > _MAX_INPUT:
        # Not within a word: half a credential looks like none.
        text = text[:_MAX_INPUT].rsplit(None, 1)[0]
        text = "" if len(text) == _MAX_INPUT else text
    text = " ".join("".join(map(_visible, text)).split())
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement or rf"\1 {_HIDDEN}", text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _visible(char: str) -> str:
    """A character as it may be shown: separators as a space, controls, bidi overrides and surrogates not at all."""
    if char.isascii():
        return char if char.isprintable() else " " if char.isspace() else ""
    category = unicodedata.category(char)
    if category.startswith("Z"):
        return " "
    return "" if category.startswith("C") else char
