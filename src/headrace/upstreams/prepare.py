"""A call in a dialect that its upstream speaks."""

from collections.abc import Sequence

import msgspec

from headrace.core.routing import Call
from headrace.wire.conversion import convert, own
from headrace.wire.manner import PLAIN, Manner


def prepared(call: Call, spoken: Sequence[str], manner: Manner = PLAIN) -> Call:
    """The call where its dialect is ``spoken`` (without what only other providers can read), else converted.

    It is converted to the first that is spoken. Headers and query mean something in the client's dialect only, and stay
    behind. Raises RequestError.
    """
    if call.dialect in spoken:
        body = own(call.body, call.dialect)
        return call if body is call.body else msgspec.structs.replace(call, body=body)
    body = convert(call.body, call.dialect, spoken[0], manner)
    return msgspec.structs.replace(call, dialect=spoken[0], body=body, headers={}, query="")
