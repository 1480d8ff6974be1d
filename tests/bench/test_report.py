"""The benchmark's page: medians, ratios, aims that are held or not, and the README's section."""

import math
from pathlib import Path

import aims
import report
from relays import Relay
from samples import Results, Sample
from tables import tables

MAIN = "200 × 50/s"
SHORT = "short"
OURS = Relay(port=1, pids=(1,))
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


def sample(**more: object) -> Sample:
    return Sample.of({**FOUND, **more}, OURS, share=1.0)


def found() -> Results:
    """Three rounds: nginx takes 30 us each time, Headrace 30, 60 and 120."""
    results = Results(kinds={MAIN: "steady", SHORT: "short"})
    for factor in (1, 2, 4):
        results.add(MAIN, "nginx", sample())
        results.add(MAIN, "headrace", sample(cpu_s=1.5 * factor, unfinished=factor // 4))
    return results


def test_sample_is_per_chunk_and_per_window() -> None:
    """CPU is counted per chunk carried; what else ran on the core is told apart."""
    made = sample()
    assert round(made.figures["cpu"], 6) == 30.0
    assert (made.figures["core"], round(made.others, 6), made.figures["carried"]) == (0.3, 0.05, 10_000)


def test_lost_streams_are_counted() -> None:
    """A stream that failed, hung or came out of order is never lost from sight."""
    assert sample(failed=1, unfinished=2, disordered=3).lost == 6
    assert found().lost(MAIN, "headrace") == 1


def test_run_without_chunks_is_told() -> None:
    """A relay that carried nothing gives a row of the table, not a crash."""
    results = Results(kinds={MAIN: "steady"})
    results.add(MAIN, "headrace", sample(chunks=0, latency_ms=None, first_chunk_ms=None, completed=0, failed=200))
    assert any("| 200 |" in table for table in tables(results))
    assert math.isnan(results.median(MAIN, "headrace", "cpu"))


def test_an_aim_is_held_by_the_median_of_its_rounds() -> None:
    """Ratios are made round by round; 1, 2 and 4 times nginx's are 2, which is over 1.5."""
    text = aims.table(found())
    row = next(line for line in text.splitlines() if line.startswith(f"| CPU per chunk at {MAIN}, to nginx's"))
    assert row.endswith("| ≤ 1.5 | 2.00 (1.00–4.00) | **short** |")


def test_what_was_not_measured_holds_no_aim() -> None:
    text = aims.table(Results(kinds={}))
    rows = [line for line in text.splitlines() if line.startswith("| ") and "on one core" not in line]
    assert rows
    assert not [row for row in rows if row.endswith("| held |")]


def test_the_least_relay_in_python_stands_beside() -> None:
    """What is Headrace's own and what is Python's can be told apart."""
    results = found()
    for _ in range(3):
        results.add(MAIN, "bare", sample(cpu_s=2.0))
    assert "- 200 × 50/s: the least relay in Python takes **1.33 times** nginx's.\n" in report.headline(results)
    assert f"| CPU per chunk at {MAIN}, to bare Python's | – | 1.50 (0.75–3.00) | – |" in aims.table(results)


def test_headline_has_ratios_and_no_table() -> None:
    """The README stays short; it says on what machine the ratios were found."""
    text = report.headline(found())
    assert text.startswith("- 200 × 50/s: Headrace takes **2.00 times** nginx's CPU per chunk.\n")
    assert " cores, " in text
    assert "|" not in text


def test_write_changes_only_section_of_readme(tmp_path: Path) -> None:
    """What stands around the markers stays, whatever stood between them goes."""
    start, end = report.MARKERS
    (tmp_path / "README.md").write_text(f"before\n{start}\nold\n{end}\nafter\n")
    report.write(tmp_path, found(), "page\n")
    text = (tmp_path / "README.md").read_text()
    assert text.startswith(f"before\n{start}\n- 200 × 50/s")
    assert text.endswith(f"\n{end}\nafter\n")
    assert (tmp_path / "docs" / "benchmark.md").read_text() == "page\n"
    assert (tmp_path / "docs" / report.PICTURE).read_text().startswith("<svg")


def test_write_leaves_readme_without_section_alone(tmp_path: Path) -> None:
    """No markers, no change."""
    (tmp_path / "README.md").write_text("only this\n")
    report.write(tmp_path, found(), "page\n")
    assert (tmp_path / "README.md").read_text() == "only this\n"
