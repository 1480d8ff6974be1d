"""What a gate's tests are marked with."""

import pytest

from headrace.gates.catalogue import NEEDS

#: As LEAVE_OUT of ``make test`` has them.
_MARKS = {"redis-server": pytest.mark.redis, "nginx": pytest.mark.nginx}


def marks(gate: str) -> list[pytest.MarkDecorator]:
    """Those of the programs without which it is not possible."""
    return [_MARKS[program] for program in NEEDS.get(gate, ())]
