"""A profile's page: whole, closed to the network, honest about what was not measured, and deaf to hostile names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dsd_plan.domain.profile import (
    HeldOut,
    LatencyProfile,
    LawFit,
    LayerSlicing,
    ProfilePoint,
    StepLaw,
    declared_profile,
)
from dsd_plan.domain.profile_view import profile_view
from dsd_plan.report.profile_figures import chosen, line, ones_twos_fives
from dsd_plan.report.profile_page import render_profile
from dsd_plan.report.profile_picture import verify_picture
from dsd_plan.report.profile_words import law_lines, trust_lines
from tests.domain.test_profile_difference import LAW, point, profile
from tests.report.devtools import Browser
from tests.report.studies import ATTACK, attack
from tests.report.test_page import EXPECTED_TAGS, Page

CHECK = HeldOut(points=12, mean_error=0.021, max_error=0.087)
CHARTS = 9
"""Steps, two tiles, two of verifying, prompts, context, widths, law."""


def full_profile(**more: Any) -> LatencyProfile:
    """Two contexts, one hole in the grid, prompts, energy, and everything a run can tell."""
    points: list[ProfilePoint] = []
    for context in (32, 448):
        for batch in (1, 2, 4, 8, 16):
            for new in (1, 2, 5, 9):
                if (context, batch, new) != (448, 4, 5):
                    ms = 4.0 + batch * (0.1 * new + context / 1000)
                    points.append(point(ms, batch=batch, new=new, context_tokens=context, half=0.02, energy_j=0.5))
    for batch in (1, 4):
        for tokens in (64, 256):
            ms = 0.3 * batch * tokens
            points.append(point(ms, batch=batch, new=tokens, phase="prefill", context_tokens=0, half=0.01))
    told: dict[str, Any] = {
        "fit": LawFit(law=LAW.law, mean_error=0.04, max_error=0.11, folds=5),
        "held_out": CHECK,
        "slicing": LayerSlicing(layers=80, measured_layers=(2, 6), check=CHECK, check_model="small"),
        "backend": "numpy",
        "precision": "float32",
        "software": {"numpy": "2.3"},
        "measured_at": "2026-01-01T00:00:00+00:00",
        "method": {"threads": 1, "drift": 0.031, "contention": None, "seconds": 12.5, "resumed": False},
        "weights_gib": 1.5,
        "idle_w": 10.0,
        "power_source": "rapl",
        "sustained": ((60.0, 0.8),),
        "citation": "Somebody, 2026",
    }
    return profile(points, **(told | more))


def hostile_profile() -> LatencyProfile:
    """Every text that a file can set is an attack."""
    return full_profile(
        device=attack("device"),
        model=attack("model"),
        backend=attack("backend"),
        precision=attack("precision"),
        measured_at=attack("when"),
        citation=attack("citation"),
        software={attack("key"): attack("value")},
        method={attack("key"): attack("value"), "contention": attack("busy"), "drift": 0.01},
        slicing=LayerSlicing(layers=80, measured_layers=(2, 6), check=CHECK, check_model=attack("small")),
    )


def page_of(shown: LatencyProfile) -> str:
    return render_profile(shown, profile_view(shown))


@pytest.fixture(scope="module")
def full() -> str:
    return page_of(full_profile())


def test_the_page_is_well_formed_and_of_the_known_tags(full: str) -> None:
    parsed = Page(full)
    assert {tag for tag, _ in parsed.tags} <= EXPECTED_TAGS
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_titles_are_questions_and_captions_hold_numbers(full: str) -> None:
    for question in (
        "How long is a step?",
        "What does verifying more tokens cost?",
        "How fast is a prompt read?",
        "Does context matter?",
        "How far can these numbers be trusted?",
    ):
        assert f"{question}</h2>" in full
    assert full.count('class="chart"') == CHARTS


def test_what_was_not_measured_is_marked(full: str) -> None:
    # The hole in the grid over 448 tokens of context, in its tile and in the table of costs.
    missing = profile_view(full_profile()).steps[1].rows[2].cells[2]
    assert missing.origin != "measured"
    assert f'title="{missing.origin}"' in full.split('id="s1-verify-448"')[1]


def test_a_hostile_name_is_text_and_nothing_else() -> None:
    html = page_of(hostile_profile())
    parsed = Page(html)
    assert {tag for tag, _ in parsed.tags} <= EXPECTED_TAGS
    assert sum(1 for attributes, _ in parsed.scripts if "type" not in attributes) == 3
    assert not [key for _, attributes in parsed.tags for key in attributes if key.startswith("on")]
    assert "\u202e" not in html
    visible = ATTACK.split("\u202e")[0].rstrip()
    assert visible in parsed.text


@pytest.mark.parametrize(
    "shown",
    [
        declared_profile("box", "m", StepLaw(step_ms=2.0, per_token_ms=0.1, per_prompt_token_ms=0.2)),
        profile([point(4.0, samples=1)]),
        profile([point(4.0, new=5)]),
        profile([point(4.0, new=64, phase="prefill", context_tokens=0)]),
        profile([point(4.0, batch=b, half=0.01) for b in (1, 2, 4)]),
    ],
    ids=["law", "one point", "verify alone", "prefill alone", "plain steps"],
)
def test_little_is_enough_for_a_page(shown: LatencyProfile) -> None:
    parsed = Page(page_of(shown))
    assert "How long is a step?" in parsed.text
    assert "How far can these numbers be trusted?" in parsed.text


def test_a_law_alone_says_that_nothing_was_measured() -> None:
    text = Page(page_of(declared_profile("box", "m", StepLaw(step_ms=2.0)))).text
    assert "Nothing measured" in text
    assert "a plan that rests on it is worth as much as the declaration" in text
    assert "Every measured step" not in text


def test_trust_in_words() -> None:
    shown = full_profile()
    told = dict(trust_lines(shown, profile_view(shown).trust))
    assert told["between"].startswith("interpolation errs by 2.10\u202f% mean, 8.70\u202f% at most, on 12 steps")
    assert told["layers"].startswith("scaled from 2 and 6 of 80 layers; against a whole model on small")
    assert told["power"] == "idle 10.0 W (rapl)"
    assert told["sustained"] == "80.0\u202f% of the speed left after 60.0 s of work"
    assert told["contention"] == "none seen"
    bare = profile([point(1.0)], None)
    assert dict(trust_lines(bare, profile_view(bare).trust))["contention"] == "not recorded"


def test_what_follows_from_trust() -> None:
    assert "outweighs the medians" in page_of(full_profile())
    busy = full_profile(method={"contention": "load average 9", "drift": 0.0})
    assert "measure again on a quiet one" in page_of(busy)
    steady = page_of(full_profile(method={"drift": 0.001}))
    assert "Take differences below about ±2.00\u202f% for nothing." in steady


def test_the_law_in_words() -> None:
    assert law_lines(StepLaw(step_ms=1.5, per_token_ms=0.2)) == (
        "1.50 ms a step, whatever it does",
        "0.200 ms more for each token decoded or verified",
        "0 ms more for each prompt token",
        "0 µs more for each token of context, of each sequence",
    )
    bent = law_lines(StepLaw(step_ms=1.5, knots=((1.0, 2.0), (9.0, 3.0))))
    assert bent[0] == "a step by its new tokens in all, straight between: 1.00 2.00\u202fms, 9.00 3.00\u202fms"
    assert not any("whatever it does" in words for words in bent)


def test_lines_are_dashed_where_they_are_extrapolated() -> None:
    told = [(1.0, 0.9, 1.1, "measured"), (2.0, None, None, "interpolated"), (4.0, None, None, "extrapolated")]
    dashed, solid = line("a", "pair-0", [1, 2, 4], told)  # type: ignore[arg-type]
    assert (dashed["line"]["dash"], dashed["y"]) == ("dash", [1.0, 2.0, 4.0])
    assert (solid["line"]["dash"], solid["y"]) == ("solid", [1.0, 2.0, None])
    assert solid["marker"]["color"] == ["var(--pair-0)", "var(--paper)", "var(--paper)"]
    assert solid["error_y"]["array"] == [pytest.approx(0.1), 0, 0]
    assert len(line("a", "pair-0", [1, 2], told[:2])) == 1  # type: ignore[arg-type]


def test_marks_of_a_logarithmic_axis() -> None:
    assert ones_twos_fives([0.8, 30.0]) == [1.0, 2.0, 5.0, 10.0, 20.0]
    assert ones_twos_fives([0.5, 5000.0]) == [1.0, 10.0, 100.0, 1000.0]
    assert ones_twos_fives([54.9, 65.5]) == []
    assert (chosen(3), chosen(7)) == ((0, 1, 2), (0, 2, 4, 6))


def test_the_picture_draws_measured_dots_filled() -> None:
    table = profile_view(full_profile()).steps[1]
    drawn = verify_picture(table, "p")
    assert drawn is not None
    # Three batches of three verify steps, one of which was not measured.
    assert drawn.count("<circle") == 9
    assert drawn.count("fill:var(--paper)") == 1
    assert verify_picture(profile_view(profile([point(4.0)])).steps[0], "p") is None


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with Browser(chromium) as running:
        yield running


@pytest.mark.browser
@pytest.mark.parametrize(
    ("name", "width", "dark"),
    [("full", 1280, False), ("full", 390, True), ("hostile", 1280, True), ("law", 390, False)],
)
def test_it_opens_from_disk_without_complaint(
    browser: Browser, tmp_path: Path, name: str, width: int, dark: bool
) -> None:
    shown = {
        "full": full_profile(),
        "hostile": hostile_profile(),
        "law": declared_profile("box", "m", StepLaw(step_ms=2.0, per_token_ms=0.1, per_prompt_token_ms=0.2)),
    }[name]
    path = tmp_path / "page.html"
    path.write_text(page_of(shown), encoding="utf-8")
    browser.open(path, width=width, dark=dark)
    browser.settle()
    assert browser.complaints() == []
    assert browser.requests() == [path.as_uri()]
    assert browser.value("document.documentElement.scrollWidth") == width
    drawn = "[...document.querySelectorAll('.plot')].filter((p) => p.querySelector('.main-svg')).length"
    assert browser.value(drawn) == browser.value("document.querySelectorAll('.plot').length") > 0
    assert browser.value("typeof window.hacked") == "undefined"
    assert browser.value("document.querySelectorAll('img, b, iframe, object').length") == 0


@pytest.mark.browser
def test_the_first_screen_needs_no_script(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(page_of(full_profile()), encoding="utf-8")
    browser.open(path, width=1280, height=800, script=False)
    assert browser.box("#s1-short .trust")["bottom"] <= 800
    assert browser.box("#s1-short svg.picture")["height"] > 150


def test_the_view_is_the_profiles_own() -> None:
    shown = full_profile()
    assert "4.13" in page_of(shown)
    other = replace(shown, points=tuple(replace(p, samples=7) for p in shown.points))
    assert "7 a step" in page_of(other)
