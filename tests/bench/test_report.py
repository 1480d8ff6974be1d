"""The benchmark's page: medians, ratios, and the README's section."""

from pathlib import Path

from bench.report import MARKERS, Results, Sample, headline, summary, write

FOUND = {
    "completed": 200,
    "failed": 0,
    "unfinished": 0,
    "disordered": 0,
    "latency_ms": {"p50": 0.1, "p99": 0.4, "max": 2.0},
    "first_chunk_ms": {"p50": 0.3, "p99": 0.9, "max": 1.0},
    "window_s": 5.0,
    "chunks": 50_000,
    "cpu_s": 1.5,
    "core_s": 1.75,
}


def _results() -> Results:
    results = Results(rate_of={"200 x 50/s": 10_000})
    for factor in (1, 2, 4):
        results.add("200 x 50/s", "nginx", Sample.of(FOUND))
        results.add("200 x 50/s", "headrace", Sample.of(FOUND | {"cpu_s": 1.5 * factor, "unfinished": factor // 4}))
    return results


def test_sample_is_per_chunk_and_per_window() -> None:
    """CPU is counted per chunk carried; what else ran on the core is told apart."""
    sample = Sample.of(FOUND)
    assert (round(sample.cpu, 6), sample.core, round(sample.others, 6), sample.carried) == (30.0, 0.3, 0.05, 10_000)


def test_lost_streams_are_counted() -> None:
    """A stream that failed, hung or came out of order is never lost from sight."""
    assert Sample.of(FOUND | {"failed": 1, "unfinished": 2, "disordered": 3}).lost == 6


def test_run_without_chunks_is_told() -> None:
    """A relay that carried nothing gives a row of the table, not a crash."""
    nothing = {"chunks": 0, "latency_ms": None, "first_chunk_ms": None, "completed": 0, "failed": 200}
    results = Results(rate_of={"200 x 50/s": 10_000})
    results.add("200 x 50/s", "headrace", Sample.of(FOUND | nothing))

    assert "| 0.0% | nan | nan | 200 |" in summary(results)


def test_summary_holds_median_range_and_ratio() -> None:
    """The median of the rounds stands first, its range beside it, and the ratio to nginx is of medians."""
    text = summary(_results())
    assert "| headrace | 60.0 (30.0–120.0) | 60% | 100.0% |" in text
    assert "**2.00 times**" in text
    assert "| 1 |" in text


def test_headline_has_ratios_and_no_table() -> None:
    """The README stays short; it says on what machine the ratios were found."""
    text = headline(_results())
    assert text.startswith("- 200 × 50/s: Headrace takes **2.00 times** nginx's CPU per chunk.\n\n")
    assert " cores, " in text
    assert "|" not in text


def test_write_changes_only_section_of_readme(tmp_path: Path) -> None:
    """What stands around the markers stays, whatever stood between them goes."""
    start, end = MARKERS
    (tmp_path / "README.md").write_text(f"before\n{start}\nold\n{end}\nafter\n")

    write(tmp_path, "page\n", "short")

    assert (tmp_path / "README.md").read_text() == f"before\n{start}\nshort\n{end}\nafter\n"
    assert (tmp_path / "docs" / "benchmark.md").read_text() == "page\n"


def test_write_leaves_readme_without_section_alone(tmp_path: Path) -> None:
    """No markers, no change."""
    (tmp_path / "README.md").write_text("only this\n")

    write(tmp_path, "page\n", "short")

    assert (tmp_path / "README.md").read_text() == "only this\n"


def test_pairs_of_dialects_stand_beside_verbatim() -> None:
    """A row for each client's dialect, with the ratio to chat over chat."""
    results = _results()
    for name in ("chat over messages", "messages over chat", "messages over messages", "ui over chat"):
        results.add(name, "headrace", Sample.of(FOUND | {"cpu_s": 3.75}))
    text = summary(results)
    assert "| chat | 60.0 (1.00), own | 75.0 (1.25) |" in text
    assert "| messages | 75.0 (1.25) | 75.0 (1.25), own |" in text
    assert "nginx's CPU per chunk.\n- messages" not in text
