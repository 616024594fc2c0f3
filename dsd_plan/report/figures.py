"""How every chart looks: dictionaries for plotly.js, whose colours are tokens that the page's script resolves."""

from __future__ import annotations

from math import floor, log10
from typing import Any

from dsd_plan.report.blocks import KeyEntry
from dsd_plan.report.reading import MODE_NAMES, mode_name

MODES = tuple(MODE_NAMES)
ROUND_PARTS = (
    ("draft_ms", "draft", "part-draft", ""),
    ("uplink_ms", "uplink", "part-network", ""),
    ("wait_ms", "wait", "part-wait", "/"),
    ("verify_ms", "verify", "part-verify", ""),
    ("downlink_ms", "downlink", "part-network", ""),
)
"""Field, name, colour token and hatching of a round's parts, in the order of time."""


def token(name: str) -> str:
    """A colour of the stylesheet; script puts in what it is in the reader's scheme."""
    return f"var(--{name})"


def bar_marker(colour: str, hatch: str, line_width: float = 1, hatch_opacity: float = 0.25) -> dict[str, Any]:
    """A bar in the colour of a token, hatched where `hatch` names a pattern: colour alone need not tell parts apart."""
    marker: dict[str, Any] = {"color": token(colour), "line": {"color": token("paper"), "width": line_width}}
    if hatch:
        pattern = {"shape": hatch, "fgcolor": token("ink"), "fgopacity": hatch_opacity, "size": 6, "solidity": 0.25}
        marker["pattern"] = {**pattern, "bgcolor": token(colour)}
    return marker


def mode_token(mode: str) -> str:
    """The colour of a mode, the same on the whole page."""
    return f"mode-{mode.replace('_', '-')}" if mode in MODE_NAMES else "ink"


def mode_key(modes: list[str], shape: str = "line") -> tuple[KeyEntry, ...]:
    """A colour key in the fixed order of modes."""
    known = [mode for mode in MODES if mode in modes]
    others = sorted(set(modes) - set(known))
    return tuple(KeyEntry(mode_token(mode), mode_name(mode), shape) for mode in known + others)


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with a hairline grid and its unit in the title; it does not move under a reader's hand."""
    return {
        "title": {"text": title, "standoff": 8, "font": {"size": 13}},
        "fixedrange": True,
        "automargin": True,
        "zeroline": False,
        "gridcolor": token("hair"),
        "linecolor": token("line"),
        "tickcolor": token("line"),
        "ticks": "outside",
        "ticklen": 4,
        **more,
    }


def layout(xaxis: dict[str, Any], yaxis: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A chart's frame: no background, no legend, nothing that moves."""
    return {
        "font": {"size": 13, "color": token("ink")},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 52, "r": 20, "t": 12, "b": 44},
        "showlegend": False,
        "dragmode": False,
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": token("paper"), "bordercolor": token("line"), "font": {"color": token("ink")}},
        "xaxis": xaxis,
        "yaxis": yaxis,
        **more,
    }


def note(text: str, x: float, y: float, **more: Any) -> dict[str, Any]:
    """A label inside a chart."""
    return {"text": text, "x": x, "y": y, "showarrow": False, "font": {"color": token("ink"), "size": 13}, **more}


def straight(x0: float, y0: float, x1: float, y1: float, dash: str = "solid", **more: Any) -> dict[str, Any]:
    """A straight line behind the data."""
    line = {"color": token("ink"), "width": 1.25, "dash": dash}
    return {"type": "line", "x0": x0, "y0": y0, "x1": x1, "y1": y1, "layer": "below", "line": line, **more}


def round_up(value: float) -> float:
    """The next "nice" number, for the end of an axis: 1, 1.5, 2, 2.5, 3, 4, 5, 6 or 8 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next((step * power for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8) if step * power >= value * 0.999), 10 * power)


def ticks(top: float, most: int = 5) -> list[float]:
    """Evenly spaced marks from 0 to `top`, at most `most` steps."""
    power = 10.0 ** floor(log10(top)) if top > 0 else 1.0
    for step in (0.1, 0.2, 0.25, 0.5, 1, 2, 2.5, 5):
        if top / (step * power) <= most + 1e-9:
            return [step * power * at for at in range(int(top / (step * power) + 1e-9) + 1)]
    return [0.0, top]
