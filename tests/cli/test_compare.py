"""`dsd-plan compare`: the terminal, the JSON, the page, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dsd_plan.cli import main
from dsd_plan.compare import compare_studies
from dsd_plan.domain.performance import Performance
from dsd_plan.files import load_performance, write_performance, write_study
from dsd_plan.report import render_comparison, render_comparison_text
from tests.report.devtools import Browser
from tests.report.studies import full_study, hostile, measured_study, performance, tiny_study

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    write_study(tmp_path / "a.json", full_study())
    write_study(tmp_path / "b.json", measured_study())
    return str(tmp_path / "a.json"), str(tmp_path / "b.json")


def test_a_file_compared_with_itself_has_not_changed(files: tuple[str, str], capsys: Captured) -> None:
    assert main(["compare", files[0], files[0]]) == 0
    assert "Nothing changed: inputs, plan and numbers are the same." in capsys.readouterr().out
    assert main(["compare", files[0], files[0], "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "dsd-plan/comparison/1"
    assert told["identical"] is True


def test_the_terminal_tells_the_decision_the_numbers_and_what_changed(files: tuple[str, str], capsys: Captured) -> None:
    assert main(["compare", *files]) == 0
    text = capsys.readouterr().out
    assert "Now do not speculate (before: speculate); another plan; TPOT" in text.replace("\n", " ")
    assert "assignments[chat].mode: distributed → target_only" in text
    assert "TPOT p95 of chat: kept → broken" in text
    assert max(map(len, text.splitlines()[1:])) <= 80


def test_json_and_page_tell_the_same(files: tuple[str, str], tmp_path: Path, capsys: Captured) -> None:
    page = tmp_path / "compare.html"
    assert main(["compare", *files, "--json", "-o", str(page)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"]["answer_after"] == "no"
    assert told["sentence"].startswith("Now do not speculate (before: speculate); another plan; TPOT")
    assert "\u2068" not in told["sentence"]
    assert {row["finding"] for row in told["numbers"]} <= {
        *("same", "significant", "not significant", "not known", "changed")
    }
    html = page.read_text(encoding="utf-8")
    assert "Now do not speculate (before: speculate)" in html
    first = page.read_bytes()
    assert main(["compare", *files, "-o", str(page)]) == 0
    assert page.read_bytes() == first, "the same studies give the same bytes"


def test_performances_are_compared_too(tmp_path: Path, capsys: Captured) -> None:
    for name, shift in (("a.json", 1.0), ("b.json", 1.2)):
        write_performance(tmp_path / name, performance("replay", "fused", 4, shift=shift))
    assert main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]) == 0
    text = capsys.readouterr().out
    assert "significant" in text
    assert "does not tell its seed" in text.replace("\n              ", " ")


def test_an_explained_prediction_is_a_performance(tmp_path: Path) -> None:
    body = performance("model", "fused", 4).to_dict()
    (tmp_path / "p.json").write_text(json.dumps({**body, "explain": {"workloads": []}}))
    assert load_performance(tmp_path / "p.json") == performance("model", "fused", 4)


def test_a_study_is_not_compared_with_a_performance(files: tuple[str, str], tmp_path: Path, capsys: Captured) -> None:
    write_performance(tmp_path / "p.json", performance("replay", "fused", 4))
    assert main(["compare", files[0], str(tmp_path / "p.json")]) == 1
    assert "is a study, this is a performance" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"schema": "dsd-plan/study/9"}', "upgrade dsd-plan"),
        ('{"schema": "dsd-plan/performance/9"}', "upgrade dsd-plan"),
        ('{"schema": "dsd-plan/profile/1"}', "the file is a profile"),
        ('{"schema": "dsd-plan/study/1", "name": "x"}', "plan"),
        ('{"schema": "dsd-plan/study/1"', "half-written"),
        ("[]", "study.json"),
        ("", "study.json"),
    ],
)
def test_a_broken_or_newer_file_is_refused_in_one_message(
    content: str, told: str, files: tuple[str, str], tmp_path: Path, capsys: Captured
) -> None:
    broken = tmp_path / "study.json"
    broken.write_text(content)
    page = tmp_path / "page.html"
    for command in (["compare", files[0], str(broken)], ["compare", str(broken), files[0]]):
        assert main([*command, "-o", str(page)]) == 1
        error = capsys.readouterr().err
        assert told in error
        assert "Traceback" not in error
        assert "study.json" in error
    assert not page.exists()


def test_a_study_without_numbers_that_differ_can_be_compared(tmp_path: Path, capsys: Captured) -> None:
    write_study(tmp_path / "tiny.json", tiny_study())
    write_study(tmp_path / "named.json", replace(tiny_study(), optimality_gap=0.02))
    assert main(["compare", str(tmp_path / "tiny.json"), str(tmp_path / "named.json")]) == 0
    assert "not bounded → 2.00 %" in capsys.readouterr().out


def test_a_comparison_of_many_workloads_stays_a_page_and_a_screen() -> None:
    study = full_study()

    def wide(seen: Performance, factor: float) -> Performance:
        one = seen.workloads[0]
        times = replace(one.tpot_ms, mean=(one.tpot_ms.mean or 0.0) * factor)
        return replace(seen, workloads=tuple(replace(one, name=f"w{at}", tpot_ms=times) for at in range(200)))

    sides = [
        replace(study, predicted=wide(study.predicted, factor), replayed=wide(study.replayed, factor))
        for factor in (1.0, 1.02)
    ]
    found = compare_studies(*sides)
    html = render_comparison(found, "a", "b")
    assert "The first 300 of 4,610 numbers, replayed" in html
    assert len(html) < 8e6
    assert len(render_comparison_text(found).splitlines()) <= 40


@pytest.mark.browser
def test_the_page_opens_without_a_word_from_the_console(chromium: str, tmp_path: Path) -> None:
    page = tmp_path / "compare.html"
    found = compare_studies(full_study(), hostile(measured_study()))
    page.write_text(render_comparison(found, "<b>a</b>.json", "b.json"), encoding="utf-8")
    shown = tmp_path / "plain.html"
    shown.write_text(render_comparison(compare_studies(full_study(), measured_study()), "a", "b"), encoding="utf-8")
    with Browser(chromium) as browser:
        for path in (page, shown):
            browser.open(path)
            browser.settle()
            assert browser.complaints() == []
            assert not browser.value("window.hacked")
            assert browser.value("document.documentElement.scrollWidth <= innerWidth")
        assert browser.value("document.querySelectorAll('.plot .main-svg').length") > 0
        browser.open(shown, width=380)
        browser.settle()
        assert browser.value("document.documentElement.scrollWidth <= innerWidth")
