"""A study's charts as figures that stand alone: question above, colour key under it, light colours, a white ground."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from dsd_plan.domain.study import Study
from dsd_plan.report.blocks import Block, Cases, Chart, KeyEntry
from dsd_plan.report.page import SECTIONS

WIDTH_PX = 900
FAMILY = "Segoe UI, Roboto, Helvetica Neue, Noto Sans, Arial, sans-serif"
TITLE_PX, KEY_PX, AIR_PX = 22, 20, 14
LETTERS_A_LINE = 100
SIGNS = {"block": "■", "line": "━", "dash": "╍", "dot": "●", "ring": "○", "hatch": "▨", "frame": "▢", "tick": "▎"}
TOKEN = re.compile(r"var\(--([\w-]+)\)")
SETTING = re.compile(r"--([\w-]+):\s*([^;]+);")


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart for export: plotly's `data` and `layout` with colours and size, and what it is called."""

    slug: str
    question: str
    figure: dict[str, Any]
    width_px: int
    height_px: int


def pictures(study: Study) -> tuple[Picture, ...]:
    """Every chart of the study's page, in the page's order."""
    colours = light_colours()
    return tuple(picture(chart, colours) for build in SECTIONS for chart in charts_in(build(study).blocks))


def charts_in(blocks: Iterable[Block]) -> Iterator[Chart]:
    """The charts among blocks, also those that are shown one case at a time."""
    for block in blocks:
        if isinstance(block, Chart):
            yield block
        elif isinstance(block, Cases):
            for _, inner in block.cases:
                yield from charts_in(inner)


def picture(chart: Chart, colours: Mapping[str, str]) -> Picture:
    """One chart with its question as title. `colours` are what the tokens stand for."""
    title = _broken(_plain(chart.question))
    key = "   ".join(_key(entry, colours) for entry in chart.key)
    lines = 1 + title.count("<br>")
    above = AIR_PX + TITLE_PX * lines + (KEY_PX if key else 0)
    layout = _resolved(chart.layout, colours)
    margin = dict(layout.get("margin", {}))
    height = chart.height_px + above
    text = f"<b>{title}</b>" + (f'<br><span style="font-size:13px">{key}</span>' if key else "")
    layout |= {
        "font": {**layout.get("font", {}), "family": FAMILY},
        "paper_bgcolor": colours["paper"],
        "plot_bgcolor": colours["paper"],
        "width": WIDTH_PX,
        "height": height,
        "margin": {**margin, "t": margin.get("t", 0) + above},
        "title": {
            "text": text,
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "y": 1,
            "yanchor": "top",
            "pad": {"l": 16, "t": 14},
            "font": {"size": 16, "color": colours["ink"]},
        },
    }
    # Without a name of its own a trace draws lots for one: the same figure shall be the same bytes.
    data = [{**trace, "uid": str(at)} for at, trace in enumerate(_resolved(chart.data, colours))]
    figure = {"data": data, "layout": layout}
    return Picture(chart.slug, chart.question, figure, WIDTH_PX, height)


def light_colours() -> dict[str, str]:
    """What the stylesheet's colour tokens stand for in light."""
    sheet = files("dsd_plan.report").joinpath("assets", "style.css").read_text(encoding="utf-8")
    return {name: value.strip() for name, value in SETTING.findall(sheet[sheet.index(":root {") : sheet.index("}")])}


def _resolved(value: Any, colours: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        found = TOKEN.fullmatch(value)
        return colours[found[1]] if found else value
    if isinstance(value, dict):
        return {key: _resolved(item, colours) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved(item, colours) for item in value]
    return value


def _plain(text: str) -> str:
    """A title's text, in which nothing means anything to plotly."""
    return escape(text, quote=False).replace("%{", "%\u200b{")


def _broken(text: str) -> str:
    """A long title over several lines."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= LETTERS_A_LINE:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "<br>".join(lines)


def _key(entry: KeyEntry, colours: Mapping[str, str]) -> str:
    sign = SIGNS.get(entry.shape, SIGNS["block"])
    return f'<span style="color:{colours[entry.token]}">{sign}</span> {_plain(entry.text)}'
