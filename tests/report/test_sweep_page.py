"""The page of a sweep: a map over two keys, a line over one, closed to the network and deaf to hostile names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dsd_plan.domain.sweep import Value
from dsd_plan.report.sweep_page import SweepPage, render_sweep
from tests.report.studies import ATTACK
from tests.report.test_page import EXPECTED_TAGS, Page


def row(value: float | None, outcome: str = "ok", workload: str = "chat", **keys: Value) -> Mapping[str, Any]:
    kept = None if value is None else value <= 50.0
    told = {"tpot_p95_ms": value, "budgets_kept": kept, "source": "model"}
    return {**keys, **told, "outcome": outcome, "workload": workload}


def page(*rows: Mapping[str, Any], **axes: tuple[Value, ...]) -> SweepPage:
    return SweepPage(
        scenario="metro.toml",
        axes=tuple(axes.items()),
        rows=rows,
        column="tpot_p95_ms",
        sentence="4 points: 2 keep every workload's budgets, 1 do not, 1 have no numbers.",
        reasons=("1 × h200 is full.",),
        made="4 points",
    )


MAP = page(
    row(31.4, load=1, rtt_ms=10),
    row(49.0, load=1, rtt_ms=40),
    row(77.0, load=2, rtt_ms=10),
    row(None, "unstable", load=2, rtt_ms=40),
    load=(1, 2),
    rtt_ms=(10, 40),
)


def specs(html: str) -> list[dict[str, Any]]:
    return [json.loads(text) for attributes, text in Page(html).scripts if attributes.get("type") == "application/json"]


def test_two_keys_make_a_map_whose_tiles_say_what_they_are() -> None:
    html = render_sweep(MAP)
    (spec,) = specs(html)
    (tiles,) = spec["data"]
    assert tiles["type"] == "heatmap"
    assert tiles["text"] == [["31.4 ✓", "49.0 ✓"], ["77.0 ✗", "full"]]
    assert tiles["z"][1][1] is None
    assert spec["layout"]["xaxis"]["ticktext"] == ["\u206810\u2069", "\u206840\u2069"]
    text = Page(html).text
    assert 'aria-label="What is TPOT p95 of' in html
    assert "keeps its budgets at 2 of 4 points" in text
    assert "h200 is full" in text


def test_one_key_makes_a_line_that_breaks_where_there_is_no_number() -> None:
    rows = (row(31.4, load=1.0), row(None, "unstable", load=2.0), row(99.0, load=0.5))
    (spec,) = specs(render_sweep(page(*rows, load=(0.5, 1.0, 2.0))))
    assert spec["data"][0]["x"] == [0.5, 1.0, 2.0]
    assert spec["data"][0]["y"] == [99.0, 31.4, None]


def test_words_as_values_stand_side_by_side() -> None:
    rows = (row(31.4, mode="fused"), row(28.0, mode="distributed"))
    (spec,) = specs(render_sweep(page(*rows, mode=("fused", "distributed"))))
    assert spec["data"][0]["x"] == [0, 1]
    assert "fused" in spec["layout"]["xaxis"]["ticktext"][0]


def test_no_numbers_at_all_are_said_to_be_none() -> None:
    text = Page(render_sweep(page(row(None, "refused", load=1), load=(1,)))).text
    assert "No point has numbers." in text


def test_it_is_well_formed_and_hostile_names_are_text() -> None:
    rows = [row(31.4, workload=ATTACK, **{ATTACK: value}) for value in (1, 2)]
    html = render_sweep(page(*rows, **{ATTACK: (1, 2)}))
    parsed = Page(html)
    assert {tag for tag, _ in parsed.tags} <= EXPECTED_TAGS
    assert not [key for _, attributes in parsed.tags for key in attributes if key.startswith("on")]
    assert sum(1 for attributes, _ in parsed.scripts if "type" not in attributes) == 3
    assert "default-src 'none'" in html
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
