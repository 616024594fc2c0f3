"""Pages of traces: whole, closed to the network, with captions that are the answer, and deaf to hostile names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.devtools import Browser
from tests.report.studies import ATTACK
from tests.report.test_page import EXPECTED_TAGS, Page
from tests.report.traces import pages

NAMES = sorted(pages())
QUESTIONS = {
    "acceptance": (
        "How many tokens does a round emit?",
        "What does a round of window 5 keep?",
        "Does acceptance fall with position?",
        "How far does a round get?",
        "Does a good round follow a good one?",
        "Does acceptance depend on what is asked, at window 5?",
        "Does acceptance depend on the tokens of context, at window 5?",
        "Do requests differ?",
    ),
    "fit": (
        "Which law foresees requests that it has not seen?",
        "How far off are tokens a round?",
        "Do laws tell how much a round varies?",
        "Which windows would one rate choose?",
        "Does the law tell acceptance by position?",
    ),
    "workload": (
        "How steady is the traffic?",
        "How long is it from one request to the next?",
        "Do bursts last?",
        "How long are prompts and outputs?",
        "How long is the output that a prompt of this length gets?",
    ),
    "workload fit": (
        "Do the laws make bursts that last as long?",
        "Are prompts log-normal?",
        "Are outputs log-normal?",
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_well_formed_and_asks_no_network(name: str) -> None:
    html = pages()[name]
    parsed = Page(html)
    assert {tag for tag, _ in parsed.tags} <= EXPECTED_TAGS
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for _, attributes in parsed.tags if "href" in attributes]
    assert all(link is not None and link.startswith("#") and link[1:] in ids for link in links)
    assert "default-src 'none'" in html


@pytest.mark.parametrize(("name", "questions"), QUESTIONS.items())
def test_titles_are_questions_and_captions_hold_numbers(name: str, questions: tuple[str, ...]) -> None:
    figures = re.findall(r'<figure class="chart".*?</figure>', pages()[name], re.DOTALL)
    for question in questions:
        assert any(f'role="img" aria-label="{question}"' in figure for figure in figures), question
    for figure in figures:
        assert re.search(r"<figcaption><h3>.*\?</h3>", figure)
        caption = re.search(r"<p>(.*?)</p></figcaption>", figure, re.DOTALL)
        assert caption is not None
        assert re.search(r"\d", caption[1])
        assert "How to read this" in figure


def test_every_section_says_what_follows() -> None:
    for name in QUESTIONS:
        html = pages()[name]
        assert html.count('class="so-what"') == html.count("<h2>") >= 3


@pytest.mark.parametrize("name", [name for name in NAMES if "hostile" in name or name == "workload fit"])
def test_a_hostile_name_is_text_and_nothing_else(name: str) -> None:
    html = pages()[name]
    parsed = Page(html)
    assert sum(1 for attributes, _ in parsed.scripts if "type" not in attributes) == 3
    assert not [key for _, attributes in parsed.tags for key in attributes if key.startswith("on")]
    assert "\u202e" not in html
    assert ATTACK.split("\u202e")[0].rstrip() in parsed.text


@pytest.mark.parametrize("name", NAMES)
def test_figures_hold_numbers_that_script_can_read(name: str) -> None:
    for attributes, text in Page(pages()[name]).scripts:
        if attributes.get("type") == "application/json":
            spec = json.loads(text)
            for trace in spec["data"]:
                if trace["type"] == "scatter":
                    assert len(trace["x"]) == len(trace["y"]) > 0
                    assert None not in trace["y"]


def test_totals_say_that_positions_are_not_told() -> None:
    text = Page(pages()["totals"]).text
    assert "These counters tell no positions" in text
    assert "3.00 tokens a round" in text


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with Browser(chromium) as running:
        yield running


@pytest.mark.browser
@pytest.mark.parametrize(
    ("name", "width", "dark"),
    [
        ("acceptance", 1280, False),
        ("acceptance", 390, True),
        ("hostile acceptance", 390, False),
        ("totals", 390, False),
        ("fit", 1280, True),
        ("fit", 390, False),
        ("hostile fit", 1280, False),
        ("law of totals", 1280, False),
        ("workload", 1280, False),
        ("workload", 390, False),
        ("hostile workload", 390, True),
        ("workload fit", 1280, False),
        ("workload fit", 390, True),
    ],
)
def test_it_opens_from_disk_without_complaint(
    browser: Browser, tmp_path: Path, name: str, width: int, dark: bool
) -> None:
    path = tmp_path / "page.html"
    path.write_text(pages()[name], encoding="utf-8")
    browser.open(path, width=width, dark=dark)
    browser.settle()
    assert browser.complaints() == []
    assert browser.requests() == [path.as_uri()]
    assert browser.value("document.documentElement.scrollWidth") == width
    drawn = "[...document.querySelectorAll('.plot')].filter((p) => p.querySelector('.main-svg')).length"
    assert browser.value(drawn) == browser.value("document.querySelectorAll('.plot').length")
    assert browser.value("typeof window.hacked") == "undefined"
    assert browser.value("document.querySelectorAll('img, b, iframe, object').length") == 0


@pytest.mark.browser
@pytest.mark.parametrize("name", ["acceptance", "fit", "workload", "workload fit"])
def test_the_first_screen_needs_no_script(browser: Browser, tmp_path: Path, name: str) -> None:
    path = tmp_path / "page.html"
    path.write_text(pages()[name], encoding="utf-8")
    browser.open(path, width=1280, height=800, script=False)
    assert browser.box("#s1-short .trust")["bottom"] <= 800
    assert browser.box("#s1-short svg.picture")["height"] > 150
