"""Media types: nothing that a browser runs is shown."""

import mimetypes

import pytest

from headrace.wire.media_types import Kind, kind_of

#: What a browser gives this server's origin to, or lets change how a page looks or what it does.
RUN = ("html", "javascript", "xml", "svg", "css", "flash", "java", "wasm", "manifest", "xsl", "mathml", "multipart")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.mp4", Kind("video/mp4", shown=True)),
        ("A.JPG", Kind("image/jpeg", shown=True)),
        ("a.txt", Kind("text/plain; charset=utf-8", shown=True)),
        ("a.csv", Kind("text/csv; charset=utf-8", shown=False)),
        ("a.tar.gz", Kind("application/gzip", shown=False)),
        ("a.html", Kind("application/octet-stream", shown=False)),
        ("a.txt.html", Kind("application/octet-stream", shown=False)),
        ("README", Kind("application/octet-stream", shown=False)),
        ("txt", Kind("application/octet-stream", shown=False)),
    ],
)
def test_a_name_has_a_kind(name, kind):
    """By its last extension, in whatever case."""
    assert kind_of(name) == kind


def test_no_name_of_what_is_run_is_shown():
    """Every extension that this system knows a type for that browsers run: bytes to be saved."""
    known = {**mimetypes.types_map, ".xht": "html", ".xhtml": "html", ".shtml": "html", ".svgz": "svg", ".mjs": "html"}
    run = [extension for extension, type in known.items() if any(word in type for word in RUN)]
    assert {".html", ".svg", ".js", ".css", ".xml", ".wasm"} <= set(run)
    for extension in run:
        for name in (f"x{extension}", f"x{extension.upper()}"):
            assert kind_of(name) == Kind("application/octet-stream", shown=False), name
