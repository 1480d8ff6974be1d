"""Conditions of a request for something that has a validator: ``If-Match``, ``If-None-Match`` and their kin.

Source: RFC 9110, sections 8.8.3 (comparing) and 13 (which condition counts before which).
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from enum import Enum
from typing import NamedTuple

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


class Verdict(Enum):
    """What the conditions of a request lead to."""

    #: It is answered as if it had none.
    GO_ON = "go on"
    #: The client has what is there (304).
    NOT_MODIFIED = "not modified"
    #: What is there is not what the client takes it to be (412).
    FAILED = "failed"


class Validator(NamedTuple):
    """What tells one state of a thing from another: ``tag`` as in ``ETag``, ``modified`` in Unix seconds.

    ``weak`` says that another state might have the same, for the thing has only just changed.
    """

    tag: str
    modified: int
    weak: bool

    @property
    def etag(self) -> str:
        """The value of ``ETag``."""
        return f"W/{self.tag}" if self.weak else self.tag

    @property
    def last_modified(self) -> str:
        """The value of ``Last-Modified``."""
        return formatdate(self.modified, usegmt=True)


def judged(headers: Mapping[str, str], there: Validator | None) -> Verdict:
    """What the conditions of a GET or HEAD lead to; also of a PUT, where None is that nothing is there.

    ``headers`` have lower-case names; of a header that came several times the values are joined by commas.
    """
    if "if-match" in headers:
        if not _is_among(headers["if-match"], there, strong=True):
            return Verdict.FAILED
    elif there is not None and there.modified > _seconds(headers.get("if-unmodified-since"), math.inf):
        return Verdict.FAILED
    if "if-none-match" in headers:
        return Verdict.NOT_MODIFIED if _is_among(headers["if-none-match"], there, strong=False) else Verdict.GO_ON
    known = there is not None and there.modified <= _seconds(headers.get("if-modified-since"), -math.inf)
    return Verdict.NOT_MODIFIED if known else Verdict.GO_ON


def range_counts(if_range: str | None, there: Validator) -> bool:
    """Whether a ``Range`` is of what is there now; where not, the whole is sent.

    A date counts as the tag does: where it may have stood for another state too, it is no proof.
    """
    return if_range is None or (not there.weak and if_range.strip() in (there.tag, there.last_modified))


def _is_among(header: str, there: Validator | None, *, strong: bool) -> bool:
    if there is None:
        return False
    if header.strip() == "*":
        return True
    if strong and there.weak:
        return False
    return any(tag == there.tag and not (strong and weak) for weak, tag in _TAG.findall(header))


def _seconds(date: str | None, otherwise: float) -> float:
    """Unix seconds of a header's date, in any of the three forms; else what counts where it is none."""
    try:
        found = None if date is None else parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return otherwise
    return otherwise if found is None else found.replace(tzinfo=found.tzinfo or UTC).timestamp()
