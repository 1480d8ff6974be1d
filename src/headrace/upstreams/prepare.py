"""A call in a dialect that its upstream speaks."""

from collections.abc import Sequence

import msgspec

from headrace.core.routing import Call
from headrace.wire.conversion import convert
from headrace.wire.manner import PLAIN, Manner


def prepared(call: Call, spoken: Sequence[str], manner: Manner = PLAIN) -> Call:
    """The call as it is where its dialect is ``spoken``, else converted to the first that is.

    Headers and query mean something in the client's dialect only, and stay behind. Raises RequestError.
    """
    if call.dialect in spoken:
        return call
    body = convert(call.body, call.dialect, spoken[0], manner)
    return msgspec.structs.replace(call, dialect=spoken[0], body=body, headers={}, query="")
