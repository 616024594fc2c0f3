"""`dsd-plan report`: a saved study becomes a page, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsd_plan.cli import main
from dsd_plan.files import write_study
from tests.report.studies import full_study, measured_study

Captured = pytest.CaptureFixture[str]


def test_studies_become_one_page(tmp_path: Path, capsys: Captured) -> None:
    studies = {"full.json": full_study(), "measured.json": measured_study()}
    for name, study in studies.items():
        write_study(tmp_path / name, study)
    page = tmp_path / "pages" / "report.html"
    assert main(["report", *(str(tmp_path / name) for name in studies), "-o", str(page), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "report": str(page),
        "studies": [study.name for study in studies.values()],
    }
    first = page.read_bytes()
    assert main(["report", *(str(tmp_path / name) for name in studies), "-o", str(page)]) == 0
    assert page.read_bytes() == first, "the same studies give the same bytes"


def test_a_study_of_another_schema_is_refused(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "study.json").write_text(json.dumps({"schema": "dsd-plan/study/9"}))
    assert main(["report", str(tmp_path / "study.json"), "-o", str(tmp_path / "report.html")]) == 1
    assert "dsd-plan/study/9" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"schema": "dsd-plan/study/2", "name": 1}', "upgrade dsd-plan"),
        ('{"schema": "dsd-plan/performance/1"}', "the file is a performance"),
        ('{"schema": "dsd-plan/study/1", "name": "x", "surplus": 1}', "surplus"),
        ('{"name": "x"}', "schema"),
        ('{"schema": "dsd-plan/study/1", "na', "half-written"),
        ("<html>", "study.json"),
    ],
)
@pytest.mark.parametrize("form", ["html", "md", "json", "csv"])
def test_a_broken_or_newer_study_is_one_clear_error(
    form: str, content: str, told: str, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "study.json").write_text(content)
    target = tmp_path / "out"
    assert main(["report", str(tmp_path / "study.json"), "--format", form, "-o", str(target)]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert "study.json" in error
    assert "Traceback" not in error
    assert not target.exists()


def test_the_same_facts_as_markdown_json_and_csv(tmp_path: Path, capsys: Captured) -> None:
    study = tmp_path / "study.json"
    write_study(study, full_study())
    assert main(["report", str(study), "--format", "md", "-o", str(tmp_path / "r.md")]) == 0
    assert (tmp_path / "r.md").read_text(encoding="utf-8").startswith("# two-clinics\n")
    assert main(["report", str(study), "--format", "csv", "-o", str(tmp_path / "tables")]) == 0
    assert (tmp_path / "tables" / "numbers.csv").exists()
    capsys.readouterr()
    assert main(["report", str(study), "--format", "json", "-o", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "dsd-plan/tables/1"
    assert told["tables"]["studies"][0]["answer"] == "yes"
    assert main(["report", str(study), "--format", "csv", "-o", str(tmp_path / "tables"), "--json"]) == 0
    assert "numbers" in json.loads(capsys.readouterr().out)["tables"]


def test_a_page_does_not_go_to_the_terminal(tmp_path: Path, capsys: Captured) -> None:
    write_study(tmp_path / "study.json", full_study())
    assert main(["report", str(tmp_path / "study.json"), "-o", "-"]) == 2
    assert "--format md and json" in capsys.readouterr().err
