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
