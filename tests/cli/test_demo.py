"""The demo: what it writes, with the slow parts stubbed; and the real thing under `make verify`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsd_plan.cli import demo, main
from tests.report.studies import full_study

Captured = pytest.CaptureFixture[str]


def test_the_demo_leaves_studies_and_one_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    done: list[str] = []
    monkeypatch.setattr(demo, "measure", lambda output, *rest: done.append(f"measured into {output.name}"))
    monkeypatch.setattr(demo, "record", lambda output, *rest: done.append(f"recorded into {output.name}"))
    monkeypatch.setattr(demo, "plan", lambda scenario, *rest: done.append(scenario.name) or full_study())
    assert main(["demo", "-o", str(tmp_path / "d")]) == 0
    assert done == ["measured into d", "recorded into d", "measured-pair.toml", "large-target.toml"]
    for name in demo.SCENARIOS:
        assert json.loads((tmp_path / "d" / f"{name}.study.json").read_text())["schema"] == "dsd-plan/study/1"
    assert "<html" in (tmp_path / "d" / "report.html").read_text(encoding="utf-8")[:200]
    said = capsys.readouterr().out
    assert full_study().verdict.sentence[:20] in said
    assert str(tmp_path / "d" / "report.html") in said
    # Once more into the same folder: what an earlier demo laid out is used again.
    assert main(["demo", "-o", str(tmp_path / "d"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"] == str(tmp_path / "d" / "report.html")


@pytest.mark.verify
def test_the_demo_walks_the_whole_road(tmp_path: Path, capsys: Captured) -> None:
    assert main(["demo", "--quick", "-o", str(tmp_path / "d"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["verdicts"]) == set(demo.SCENARIOS)
    assert set(told["verdicts"].values()) <= {"yes", "no", "undecided"}
    assert Path(told["report"]).stat().st_size > 1_000_000
