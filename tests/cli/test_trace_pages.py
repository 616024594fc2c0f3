"""`trace describe --html` and `trace fit --html` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsd_plan.cli import main
from dsd_plan.domain.acceptance import AcceptanceCounts
from dsd_plan.files import write_acceptance, write_acceptance_counts, write_requests
from tests.calibrate.laws import METADATA
from tests.report.traces import requests, round_trace

Told = pytest.CaptureFixture[str]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / f"{name}.parquet" for name in ("rounds", "chat")} | {"counts": tmp_path / "counts.json"}
    write_acceptance(found["rounds"], round_trace())
    write_requests(found["chat"], requests())
    write_acceptance_counts(found["counts"], AcceptanceCounts(metadata=METADATA, reached=(100, 90), kept=(80, 54)))
    return found


@pytest.mark.parametrize(
    ("verb", "name", "question"),
    [
        ("describe", "rounds", "Does acceptance fall with position?"),
        ("describe", "counts", "How far does a round get?"),
        ("describe", "chat", "How steady is the traffic?"),
        ("fit", "rounds", "What would assuming one rate have cost?"),
        ("fit", "counts", "Does the law tell acceptance by position?"),
        ("fit", "chat", "Do the laws make bursts that last as long?"),
    ],
)
def test_a_page_is_written_beside_what_is_said(
    files: dict[str, Path], capsys: Told, verb: str, name: str, question: str
) -> None:
    page = files[name].parent / "pages" / "one.html"
    assert main(["trace", verb, str(files[name]), "--html", str(page)]) == 0
    assert capsys.readouterr().out.endswith(f"wrote {page}\n")
    assert question in page.read_text(encoding="utf-8")
    assert [path.name for path in page.parent.iterdir()] == ["one.html"]


@pytest.mark.parametrize("verb", ["describe", "fit"])
def test_json_stays_json_beside_a_page(files: dict[str, Path], capsys: Told, verb: str) -> None:
    page = files["chat"].parent / "one.html"
    assert main(["trace", verb, str(files["chat"]), "--html", str(page), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == str(files["chat"])
    assert page.exists()


def test_the_same_trace_gives_the_same_page(files: dict[str, Path]) -> None:
    made = []
    for name in ("a.html", "b.html"):
        assert main(["trace", "fit", str(files["chat"]), "--html", str(files["chat"].parent / name)]) == 0
        made.append((files["chat"].parent / name).read_bytes())
    assert made[0] == made[1]


def test_laws_of_a_workload_are_told(files: dict[str, Path], capsys: Told) -> None:
    assert main(["trace", "fit", str(files["chat"]), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["arrivals"]["law"] == "modulated"
    rate = next(row for row in told["figures"] if row["what"] == "requests a second")
    assert rate["recorded"] == pytest.approx(told["rate_per_s"])
    assert rate["low"] <= rate["made"] <= rate["high"]
    assert told["streams"] == 40


def test_options_of_acceptance_have_no_meaning_for_a_workload(files: dict[str, Path], capsys: Told) -> None:
    line = ["trace", "fit", str(files["chat"]), "--task", "code", "-o", str(files["chat"].parent / "law.json")]
    assert main([*line, "--extrapolate"]) == 1
    assert "for which --output, --task, --extrapolate has no meaning" in capsys.readouterr().err
    assert not (files["chat"].parent / "law.json").exists()


def test_too_short_a_workload_is_refused(tmp_path: Path, capsys: Told) -> None:
    few = tmp_path / "few.csv"
    few.write_text("arrival_s,prompt_tokens,output_tokens\n0,5,6\n1,5,6\n", encoding="utf-8")
    assert main(["trace", "fit", str(few), "--html", str(tmp_path / "page.html")]) == 1
    assert "2 requests are too few to fit a law of arrivals" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_a_page_that_cannot_be_written_is_told(files: dict[str, Path], capsys: Told) -> None:
    blocked = files["chat"].parent / "blocked"
    blocked.write_text("")
    for verb in ("describe", "fit"):
        assert main(["trace", verb, str(files["rounds"]), "--html", str(blocked / "page.html")]) == 1
        assert "cannot be written" in capsys.readouterr().err


def test_shipped_traces_can_be_looked_at(tmp_path: Path) -> None:
    shipped = sorted((Path(__file__).parents[2] / "traces").glob("*.parquet"))
    assert shipped
    for trace in shipped:
        assert main(["trace", "describe", str(trace), "--html", str(tmp_path / "page.html")]) == 0
