"""The page as a text: whole, closed to the network, and free of markup that comes from a file."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from dsd_plan.domain.study import Study
from dsd_plan.report import render_html
from dsd_plan.report.markup import script_hash
from dsd_plan.report.page import SECTIONS
from dsd_plan.report.sheet import plotly_source
from tests.report.rich import rich_study
from tests.report.studies import attack, full_study, hostile, measured_study, tiny_study

LARGEST_PAGE_BYTES = 8_000_000
VOID = {"meta", "img", "br", "hr", "link", "input", "line", "rect", "circle", "polyline"}
EXPECTED_TAGS = {
    *("html", "head", "meta", "title", "style", "script", "body", "nav", "main", "article", "section", "h1", "h2"),
    *("h3", "h4", "p", "a", "span", "strong", "em", "bdi", "ol", "ul", "li", "dl", "dt", "dd", "code", "pre"),
    *("div", "table", "caption", "thead", "tbody", "tr", "th", "td", "figure", "figcaption", "details", "summary"),
    *("svg", "clippath", "rect", "line", "polyline", "circle", "text", "path", "small"),
}


class Page(HTMLParser):
    """Tags with their attributes, checked for balance; scripts and text apart."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif "style" not in self.open:
            self.text += data

    def with_class(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for _, attrs in self.tags if name in (attrs.get("class") or "").split()]

    def specs(self) -> list[dict[str, Any]]:
        return [json.loads(text) for attrs, text in self.scripts if str(attrs.get("id", "")).endswith("-spec")]


def section_text(html: str, slug: str) -> str:
    """What a reader sees in one section of the first part."""
    start = html.index(f'<section id="s1-{slug}"')
    return Page(html[start : html.index("</section>", start) + len("</section>")]).text


STUDIES: dict[str, tuple[Study, ...]] = {
    "full": (full_study(),),
    "two": (measured_study(), full_study()),
    "rich": (rich_study(),),
    "hostile": (hostile(rich_study()),),
    "tiny": (tiny_study(),),
}


@pytest.fixture(scope="module", params=STUDIES)
def page(request: pytest.FixtureRequest) -> tuple[str, Page]:
    html = render_html(STUDIES[request.param])
    return html, Page(html)


def test_a_page_is_small_enough_to_send(page: tuple[str, Page]) -> None:
    assert len(page[0].encode()) < LARGEST_PAGE_BYTES


def test_nothing_is_fetched(page: tuple[str, Page]) -> None:
    for tag, attrs in page[1].tags:
        assert not {"src", "srcset", "background", "action", "data"} & set(attrs), (tag, attrs)
        assert (attrs.get("href") or "#").startswith("#")
    styles = page[0][page[0].index("<style>") : page[0].index("</style>")]
    assert "url(" not in styles
    assert "@import" not in styles


def test_only_the_pages_own_scripts_may_run(page: tuple[str, Page]) -> None:
    policy = next(str(a["content"]) for t, a in page[1].tags if t == "meta" and "http-equiv" in a)
    allowed = policy.split("script-src ")[1].split()
    scripts = [text for attrs, text in page[1].scripts if attrs.get("type") != "application/json"]
    assert [script_hash(text) for text in scripts] == allowed
    assert "default-src 'none'" in policy


def test_plotly_is_inlined_once(page: tuple[str, Page]) -> None:
    assert page[0].count(plotly_source()) == 1


def test_no_tag_or_handler_comes_from_a_file(page: tuple[str, Page]) -> None:
    for tag, attrs in page[1].tags:
        assert tag in EXPECTED_TAGS
        assert not any(key.startswith("on") for key in attrs)


def test_addresses_are_unique_and_lead_somewhere(page: tuple[str, Page]) -> None:
    ids = [str(attrs["id"]) for _, attrs in page[1].tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [str(a["href"])[1:] for t, a in page[1].tags if t == "a"]
    described = [str(a["aria-describedby"]) for _, a in page[1].tags if "aria-describedby" in a]
    specs = [str(a["data-spec"]) for _, a in page[1].tags if "data-spec" in a]
    assert set(links + described + specs) <= set(ids)


def test_every_section_ends_with_what_follows(page: tuple[str, Page]) -> None:
    parts = page[0].count('<article class="part')
    assert len(page[1].with_class("so-what")) == parts * len(SECTIONS)


def test_there_is_one_first_heading(page: tuple[str, Page]) -> None:
    assert [tag for tag, _ in page[1].tags].count("h1") == 1


def test_figures_are_what_plotly_understands(page: tuple[str, Page]) -> None:
    import plotly.graph_objects as go

    for spec in page[1].specs():
        text = re.sub(r'"var\(--[\w-]+\)"', '"#123456"', json.dumps(spec))
        go.Figure(json.loads(text))


def test_every_colour_of_a_figure_is_in_the_stylesheet(page: tuple[str, Page]) -> None:
    names = set(re.findall(r"var\((--[\w-]+)\)", page[0][page[0].index("<body>") :]))
    missing = {name for name in names if f"{name}:" not in page[0]}
    assert missing <= {"--swatch"}


def test_hostile_names_are_shown_as_they_are() -> None:
    text = Page(render_html(hostile(full_study()))).text
    shown = attack("two-clinics").replace("\u202e", "").replace("\u2066", "").replace("\x1b", "\ufffd")
    assert shown.replace("\x00", "\ufffd") in text


def test_a_declared_input_is_labelled_in_each_place_that_rests_on_it() -> None:
    html = render_html(full_study())
    for identity in ("s1-decision", "s1-plan", "s1-choices", "s1-trust"):
        section = html[html.index(f'<section id="{identity}"') if identity != "s1-decision" else 0 :]
        section = section[: section.index("</section>")]
        assert 'aria-label="declared"' in section, identity
    assert "Declared, not measured" in html


def test_a_measured_fleet_carries_no_declaration() -> None:
    study = measured_study()
    silent = tuple(
        replace(
            option,
            predicted=option.predicted and replace(option.predicted, workloads=()),
            replayed=None,
        )
        for option in study.options
    )
    workloads = tuple(replace(w, origin=None) for w in study.replayed.workloads)
    html = render_html(replace(study, options=silent, replayed=replace(study.replayed, workloads=workloads)))
    assert "Declared, not measured" not in html
    assert "Nothing declared" in html


def test_missing_energy_is_said_and_never_zero() -> None:
    why = section_text(render_html(full_study()), "why")
    assert "Energy a token" in why
    assert "is not known: at least one deployed device has no measured or declared power" in why
    assert "J/token" not in why


def test_known_energy_stands_beside_what_is_not_known() -> None:
    study = full_study()
    known = replace(study.replayed, fleet=replace(study.replayed.fleet, energy_j_per_token=2.5, power_w=768.0))
    option = replace(study.options[2], replayed=known)
    why = section_text(render_html(replace(study, options=(study.options[0], option))), "why")
    assert "2.50" in why
    assert "not known" in why


def test_temperature_is_said_where_it_is_known_and_left_out_where_not() -> None:
    study = full_study()
    assert "was recorded at temperature 1: the target&#x27;s tokens were sampled" in render_html(study)
    unknown = replace(study, acceptance=(replace(study.acceptance[0], temperature=None),))
    assert "was recorded at temperature" not in render_html(unknown)


def test_what_the_study_says_of_its_acceptance_stands_beside_it() -> None:
    line = "Recorded at temperature 1: greedy decoding of so small a model would flatter it."
    html = render_html(replace(full_study(), story=(line,)))
    trust = html[html.index('id="s1-trust"') : html.index('id="s1-provenance"')]
    assert line in trust


def test_a_busy_machine_is_said_on_the_first_screen() -> None:
    study = measured_study()
    busy = replace(study.profiles[0], method={"contention": True})
    html = render_html(replace(study, profiles=(busy,)))
    assert "Measured on a busy machine" in html[: html.index('id="s1-plan"')]


def test_a_replay_without_steady_state_is_said() -> None:
    study = full_study()
    html = render_html(replace(study, replayed=replace(study.replayed, steady=False)))
    assert "The replay found no steady state." in html[: html.index('id="s1-plan"')]


def test_a_long_verdict_becomes_a_headline_and_a_paragraph() -> None:
    headline, _, rest = render_html(measured_study()).partition("</h1>")
    assert '<h1 class="verdict">Do not speculate here: at the same cost' in headline
    assert rest.startswith('<p class="rest">From the edge, at 20\u00a0ms')


def test_a_page_needs_a_study() -> None:
    with pytest.raises(ValueError, match="at least one study"):
        render_html([])


def test_the_same_study_gives_the_same_page() -> None:
    assert render_html(full_study()) == render_html(full_study())


def test_only_a_broken_budget_is_red() -> None:
    html = render_html(full_study())
    specs = "".join(re.findall(r'<script type="application/json".*?</script>', html))
    assert "--broken" not in specs
    broken = render_html(measured_study())
    assert "var(--broken)" in "".join(re.findall(r'<script type="application/json".*?</script>', broken))
