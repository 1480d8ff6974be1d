"""What all tests of the listeners share: the event loops on which they run."""

import pytest
import uvloop


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request):
    """Both event loops: a process of ours runs on uvloop, an embedded one on what there is."""
    return "asyncio", {"loop_factory": uvloop.new_event_loop if request.param == "uvloop" else None}
