"""Every way in which the bytes of a case are fed."""

from collections.abc import Iterator

from hypothesis import strategies as st


def splits(data: bytes) -> Iterator[list[bytes]]:
    """The data whole, byte by byte, with empty pieces, and in two at every place."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    yield [b"", data, b""]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


@st.composite
def chunked(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The data cut at places that hypothesis chooses."""
    cuts = sorted(draw(st.sets(st.integers(0, len(data)), max_size=12)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
