"""Names for downloads: any text becomes one header line and a harmless name."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.wire.disposition import MAX_NAME, attachment, safe_name

_FORM = re.compile(r"attachment; filename=\"([ -~]+)\"(?:; filename\*=UTF-8''([!-~]+))?")


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("report.csv", "report.csv"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\system.ini", "system.ini"),
        ('a"; filename="b.exe', "a_; filename=_b.exe"),
        ("a\r\nSet-Cookie: x=1", "aSet-Cookie_ x=1"),
        ("invoice\u202egnp.exe", "invoicegnp.exe"),
        (".bashrc", "bashrc"),
        ("a.", "a"),
        ("con:stream", "con_stream"),
        ("..", "download"),
        ("", "download"),
        ("\0", "download"),
        ("\ud800", "download"),
        ("报告.csv", "报告.csv"),
        ("x" * 300 + ".csv", "x" * (MAX_NAME - 4) + ".csv"),
    ],
)
def test_name_is_made_safe(name: str, safe: str) -> None:
    """No folder, no quotes, no control, no override."""
    assert safe_name(name) == safe


def test_name_beyond_ascii_is_written_twice() -> None:
    """Old clients get what ASCII can say, all others the name."""
    assert attachment("Überblick.csv") == (
        "attachment; filename=\"Uberblick.csv\"; filename*=UTF-8''%C3%9Cberblick.csv"
    )
    assert attachment("报告.csv").startswith('attachment; filename="csv"; ')


@given(st.text())
def test_any_name_is_one_line_that_leads_back_to_it(name: str) -> None:
    """The value is ASCII without controls, and means the safe name."""
    match = _FORM.fullmatch(attachment(name))

    assert match is not None
    assert '"' not in match[1]
    assert unquote(match[2] or match[1]) == safe_name(name)
    assert not set("/\\") & set(safe_name(name))
    assert 0 < len(safe_name(name).encode()) <= MAX_NAME
