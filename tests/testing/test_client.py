"""The client of the gates, where nobody answers."""

import pytest

from headrace.testing.child import free_port
from headrace.testing.client import Client


async def test_one_that_was_never_connected_hangs_up_like_others():
    client = Client(free_port())
    with pytest.raises(ConnectionRefusedError):
        await client.open("GET", "/")
    client.close()
    client.reset()
