"""Charts as figures that stand alone, and what is said where they cannot be drawn."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from dsd_plan.cli import main
from dsd_plan.errors import InputError
from dsd_plan.files import write_study
from dsd_plan.files.pictures import write_pictures
from dsd_plan.report import render_html, render_markdown
from dsd_plan.report.pictures import light_colours, pictures
from tests.report.studies import full_study, hostile, tiny_study

Captured = pytest.CaptureFixture[str]
ONE = {"one": ({"data": [{"type": "bar", "x": ["a"], "y": [1]}], "layout": {}}, 400, 300)}


def test_every_chart_of_the_page_is_a_picture() -> None:
    found = pictures(full_study())
    assert len(found) == render_html(full_study()).count('class="plot"')
    assert len({each.slug for each in found}) == len(found)
    assert pictures(tiny_study()) is not None


def test_no_colour_is_left_to_a_stylesheet() -> None:
    for each in (*pictures(full_study()), *pictures(hostile(full_study()))):
        text = json.dumps(each.figure)
        assert "var(--" not in text
        assert each.figure["layout"]["paper_bgcolor"] == "#ffffff"
        assert each.figure["layout"]["height"] == each.height_px
    assert light_colours()["mode-fused"] == "#0072b2"


def test_titles_are_questions_in_which_a_name_means_nothing() -> None:
    titles = [each.figure["layout"]["title"]["text"] for each in pictures(full_study())]
    assert any(title.startswith("<b>How does TPOT p95 of") for title in titles)
    assert any("■</span> fused" in title or "━</span> fused" in title for title in titles)
    for each in pictures(hostile(full_study())):
        assert "<img" not in each.figure["layout"]["title"]["text"]
        assert "<script" not in each.figure["layout"]["title"]["text"]


def test_without_kaleido_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    write_study(tmp_path / "study.json", full_study())
    page, folder = tmp_path / "report.html", tmp_path / "figures"
    assert main(["report", str(tmp_path / "study.json"), "-o", str(page), "--figures", str(folder)]) == 1
    error = capsys.readouterr().err
    assert error.strip().endswith("figures need kaleido: pip install 'dsd-plan[figures]'")
    assert len(error.strip().splitlines()) == 1
    assert not page.exists()
    assert not folder.exists()


@pytest.mark.figures
def test_without_a_browser_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from choreographer.errors import ChromeNotFoundError

    class NoBrowser:
        def __init__(self, **_: object) -> None:
            raise ChromeNotFoundError

    import kaleido

    monkeypatch.setattr(kaleido, "Kaleido", NoBrowser)
    with pytest.raises(InputError, match="needs Chrome or Chromium: apt install chromium"):
        write_pictures(tmp_path / "figures", ONE)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(InputError, match="is a file; figures go into a folder"):
        write_pictures(tmp_path / "taken", ONE)


def test_markdown_shows_the_figures_of_its_charts() -> None:
    figures = {each.slug: f"figures/{each.slug}.svg" for each in pictures(full_study())}
    assert render_markdown(full_study(), figures).count("![") == len(figures)


@pytest.mark.browser
@pytest.mark.figures
def test_figures_are_drawn_the_same_each_time(chromium: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROWSER_PATH", chromium)
    some = {each.slug: (each.figure, each.width_px, each.height_px) for each in pictures(full_study())[:2]}
    first = [path.read_bytes() for path in write_pictures(tmp_path, some)]
    again = write_pictures(tmp_path, some)
    assert [path.read_bytes() for path in again] == first
    assert {path.suffix for path in again} == {".svg", ".png"}
    for path in again:
        if path.suffix == ".png":
            assert path.read_bytes().startswith(b"\x89PNG")
        else:
            root = ET.fromstring(path.read_bytes())
            assert root.get("width") == "900"
            texts = " ".join(text for text in root.itertext() if text.strip())
            assert "How does" in texts
            assert "TPOT p95, ms" in texts or "TTFT p95, ms" in texts
