"""The examples are found and explained: in the documentation, and each in its own first lines."""

from tests.examples.example_server import ROOT


def test_every_example_is_in_the_docs() -> None:
    """A row of the table for each."""
    page = (ROOT / "docs/examples.md").read_text()
    names = {file.name for file in (ROOT / "examples").iterdir() if not file.name.startswith("__")}
    assert {"tour.py", "react"} <= names
    assert [name for name in sorted(names) if f"](../examples/{name})" not in page] == []


def test_every_example_says_how_it_is_started() -> None:
    """In its docstring; and it is short enough to be read at one go."""
    for file in sorted((ROOT / "examples").glob("*.py")):
        source = file.read_text()
        command = f"uvicorn examples.{file.stem}:app" if "\napp = FastAPI(" in source else f"examples/{file.name}"
        assert command in source.split('"""')[1], file
        assert source.count("\n") <= (120 if file.stem == "tour" else 80), file
