"""Both event loops: what sockets and TLS do at their edges is not the same on them."""

import pytest


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Headrace serves on uvloop, and is a library on whatever loop there is."""
    return "asyncio", {"use_uvloop": request.param == "uvloop"}
