"""The page as a browser shows it: from disk, without a network, in both schemes, on any width, with hostile names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dsd_plan.report import render_html
from tests.report.devtools import Browser
from tests.report.large import several_study, thousand_sites
from tests.report.rich import rich_study
from tests.report.studies import ATTACK, full_study, hostile, measured_study, tiny_study

pytestmark = pytest.mark.browser

PAGES = {
    "full": lambda: render_html(full_study()),
    "two": lambda: render_html([measured_study(), full_study()]),
    "rich": lambda: render_html(rich_study()),
    "hostile": lambda: render_html(hostile(rich_study())),
    "tiny": lambda: render_html(tiny_study()),
    "several": lambda: render_html(several_study()),
    "thousand": lambda: render_html(thousand_sites()),
}
CHARTS = 8
"""Of a full study: load twice, maps twice, round, devices, agreement, acceptance. The least study has devices alone."""
ALL_CHARTS = CHARTS + 7
"""Of one that holds everything: the day, the energy, the front, one device more or less, three of a replay besides."""
DRAWN = "[...document.querySelectorAll('.plot')].filter((p) => p.querySelector('.main-svg')).length"


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with Browser(chromium) as running:
        yield running


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    paths = {}
    for name, render in PAGES.items():
        paths[name] = folder / f"{name}.html"
        paths[name].write_text(render(), encoding="utf-8")
    return paths


def test_a_complaint_or_a_request_would_be_noticed(browser: Browser, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.html"
    wrong.write_text("<script>console.error('mine'); nothing.here</script><img src='https://example.org/x.png'>")
    browser.open(wrong)
    complaints = " ".join(browser.complaints())
    assert "mine" in complaints
    assert "ReferenceError" in complaints
    assert browser.requests() == [wrong.as_uri(), "https://example.org/x.png"]


@pytest.mark.parametrize(
    ("name", "width", "dark"),
    [
        *(("full", 1280, False), ("rich", 768, True), ("two", 390, False), ("hostile", 1280, True)),
        *(("tiny", 390, True), ("several", 1280, False), ("thousand", 768, False)),
    ],
)
def test_a_page_opens_without_complaint_and_without_a_network(
    browser: Browser, pages: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    browser.open(pages[name], width=width, dark=dark)
    browser.settle()
    assert browser.complaints() == []
    assert browser.requests() == [pages[name].as_uri()]
    assert browser.value(DRAWN) == {"tiny": 1, "thousand": CHARTS + 2, "hostile": ALL_CHARTS, "rich": ALL_CHARTS}.get(
        name, CHARTS
    )


@pytest.mark.parametrize("name", ["full", "two", "hostile", "thousand"])
@pytest.mark.parametrize("width", [1280, 768, 390])
def test_nothing_is_wider_than_the_window(browser: Browser, pages: dict[str, Path], name: str, width: int) -> None:
    browser.open(pages[name], width=width)
    browser.settle()
    assert browser.value("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("name", ["full", "two", "several", "thousand", "rich"])
def test_the_first_screen_is_whole_without_script(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name], width=1280, height=800, script=False)
    box = browser.box("#s1-decision .trust")
    assert box["width"] > 500
    assert box["bottom"] <= 800
    assert browser.box("#s1-decision svg.picture")["height"] > 150
    assert browser.box("#s1-decision h1")["height"] > 20


def test_figures_below_are_drawn_after_the_first_screen(browser: Browser, pages: dict[str, Path]) -> None:
    html = pages["full"].read_text(encoding="utf-8")
    assert html.index('class="trust"') < html.index("plotly.js v")


def test_hostile_names_stay_text(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["hostile"])
    browser.settle()
    assert browser.value("typeof window.hacked") == "undefined"
    assert browser.value("document.querySelectorAll('img, b, iframe, object').length") == 0
    assert browser.value("document.querySelectorAll('script:not([type])').length") == 3
    assert browser.value("document.querySelectorAll('.plot a').length") == 0
    visible = ATTACK.split("\u202e")[0].rstrip()
    assert visible in browser.value("document.querySelector('.side .name').textContent")
    # Plotly understands tags and entities; of a name it may show none but as text.
    ticks = browser.value(
        "[...document.querySelectorAll('#s1-devices .ytick text')].map((t) => t.textContent).join('|')"
    )
    assert "</script>" in ticks


def test_dark_and_light_are_the_readers_choice(browser: Browser, pages: dict[str, Path]) -> None:
    ink = "getComputedStyle(document.querySelector('#s1-devices .xtick text')).fill"
    paper = "getComputedStyle(document.body).backgroundColor"
    browser.open(pages["full"])
    browser.settle()
    light = (browser.value(ink), browser.value(paper))
    assert light == ("rgb(22, 25, 29)", "rgb(255, 255, 255)")
    browser.scheme(dark=True)
    browser.settle()
    assert (browser.value(ink), browser.value(paper)) == ("rgb(233, 236, 239)", "rgb(20, 23, 26)")


def test_one_study_is_shown_at_a_time(browser: Browser, pages: dict[str, Path]) -> None:
    shown = "[...document.querySelectorAll('article.part')].map((p) => p.offsetParent !== null).join()"
    browser.open(pages["two"])
    assert browser.value(shown) == "true,false"
    browser.value("document.querySelectorAll('.tabs a')[1].click()")
    browser.settle()
    assert browser.value(shown) == "false,true"
    assert browser.value("document.querySelector('.tabs [aria-current]').hash") == "#s2"
    assert browser.value("document.querySelector('.contents.active').dataset.part") == "s2"
    assert browser.value("document.querySelectorAll('#s2 .plot .main-svg').length") > 0


def test_one_workload_is_shown_at_a_time_and_a_click_changes_all_sections(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.open(pages["several"])
    browser.settle()
    shown = "[...document.querySelectorAll('.case')].filter((c) => c.offsetParent).map((c) => c.dataset.label).join()"
    assert browser.value(shown) == "chat,chat,chat"
    browser.value("[...document.querySelectorAll('.picks button')].find((b) => b.textContent === 'letters').click()")
    browser.settle()
    assert browser.value(shown) == "letters,letters,letters"
    assert browser.value("document.querySelectorAll('.case.shown .main-svg').length") > 0
    assert browser.complaints() == []


def test_a_long_table_can_be_opened_searched_and_sorted(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["thousand"])
    table = "document.querySelector('table[data-file=assignments]')"
    seen = f"[...{table}.tBodies[0].rows].filter((r) => r.offsetParent).map((r) => r.cells[0].textContent)"
    assert len(browser.value(seen)) == 12
    browser.value(
        f"{{ const f = {table}.querySelector('input'); f.value = 'chat-0777'; f.dispatchEvent(new Event('input')) }}"
    )
    assert browser.value(seen) == ["chat-0777"]
    browser.value(f"{{ const f = {table}.querySelector('input'); f.value = ''; f.dispatchEvent(new Event('input')) }}")
    browser.value(f"{table}.querySelector('th button').click(); {table}.querySelector('th button').click()")
    assert browser.value(seen)[0] == "chat-0999"
    browser.value(f"{table}.parentElement.querySelector('.open').click()")
    assert len(browser.value(seen)) == 1000
    assert browser.complaints() == []


def test_an_address_opens_the_study_it_lies_in(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["two"])
    browser.value("location.hash = '#s2-trust'; new Promise((done) => setTimeout(done, 100))")
    assert browser.value("document.querySelector('#s2').offsetParent !== null")
    assert abs(browser.value("document.querySelector('#s2-trust').getBoundingClientRect().top")) < 200


def test_the_column_shows_where_one_is(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["full"])
    browser.settle()
    here = "document.querySelector('.side [aria-current]').textContent"
    assert browser.value(here) == "The decision"
    browser.value(
        "document.querySelector('#s1-maps').scrollIntoView();"
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    assert browser.value(here) == "When does it pay?"


def test_a_heading_sorts_its_column(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["full"])
    column = "[...document.querySelectorAll('#s1-options tbody tr')].map((r) => r.cells[1].dataset.raw)"
    click = "document.querySelector('#s1-options th:nth-child(2) button').click()"
    browser.value(click)
    rising = browser.value(column)
    known = [float(raw) for raw in rising if raw]
    assert known == sorted(known)
    assert rising[-1] == ""
    assert browser.value("document.querySelector('#s1-options th:nth-child(2)').ariaSort") == "ascending"
    browser.value(click)
    falling = browser.value(column)
    assert [float(raw) for raw in falling if raw] == known[::-1]
    assert falling[-1] == ""


def test_a_table_is_saved_as_csv_that_no_spreadsheet_runs(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["full"])
    browser.value(
        """URL.createObjectURL = (blob) => { window.saved = blob.text(); return '#'; };
        document.querySelector('#s1-options td').dataset.raw = '=HYPERLINK("x")';
        document.querySelector('#s1-options .save').click()"""
    )
    lines = browser.value("window.saved").splitlines()
    assert (
        lines[0].lstrip("\ufeff")
        == '"Option","TPOT p95, ms","TPOT mean, ms","TTFT p95, ms","Cost an hour","Devices","Why"'
    )
    assert lines[1].startswith('"\'=HYPERLINK(""x"")","55.4')
    assert len(lines) == 1 + len(full_study().options)


def test_a_definition_opens_for_the_keyboard_and_stays_inside(browser: Browser, pages: dict[str, Path]) -> None:
    for width in (1280, 390):
        browser.open(pages["full"], width=width)
        last = "[...document.querySelectorAll('#s1-decision .term')].pop()"
        browser.value(f"{last}.focus()")
        box = browser.box("#s1-decision .term:focus .definition")
        assert box["width"] > 100
        assert box["left"] >= 0
        assert box["right"] <= width


def test_paper_is_light_and_holds_every_part(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["two"], dark=True)
    browser.settle()
    pdf = browser.call("Page.printToPDF", printBackground=True)["data"]
    assert len(pdf) > 100_000
    drawn = browser.value(DRAWN)
    assert drawn == browser.value("document.querySelectorAll('.plot').length")
    assert browser.complaints() == []


def test_charts_and_pictures_say_what_they_show(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["full"])
    browser.settle()
    assert browser.value("document.querySelectorAll('[role=img]:not([aria-label]):not([aria-labelledby])').length") == 0
    questions = browser.value("[...document.querySelectorAll('figure.chart h3')].map((h) => h.textContent)")
    assert len(questions) == CHARTS
    assert all("?" in question for question in questions)
    answers = browser.value("[...document.querySelectorAll('figure.chart figcaption > p')].map((p) => p.textContent)")
    assert all(any(letter.isdigit() for letter in answer) for answer in answers)
