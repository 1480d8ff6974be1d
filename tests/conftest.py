"""What all tests share."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Headrace runs on asyncio only."""
    return "asyncio"
