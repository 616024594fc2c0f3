"""Tables and the picture of the agreement study. A system counts by its worst stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Record = dict[str, Any]

METRICS = ("ttft_ms.mean", "ttft_ms.p99", "tpot_ms.mean", "tpot_ms.p99", "itl_ms.p95", "e2e_ms.mean", "e2e_ms.p99")
BANDS = ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 0.85), (0.85, 1.0))
WIDTH, HEIGHT, MARGIN = 300, 190, 34
MOST = 20.0
"""Errors beyond so many per cent lie on the picture's edge."""


@dataclass(frozen=True)
class Row:
    """A regime's systems and their errors."""

    name: str
    errors: dict[str, np.ndarray]
    noise: float
    """Mean half-width of the replay's 95 % interval of mean TPOT, relative."""


def worst_stream(record: Record, metric: str, fewest: int) -> float | None:
    """The signed relative error of the stream that is predicted worst; None where no stream says enough."""
    pairs = zip(record["predicted"]["streams"], record["streams"], strict=True)
    found = [
        told[metric] / seen[metric] - 1.0
        for told, seen in pairs
        if (seen["requests"] or 0) >= fewest and seen.get(metric)
    ]
    return max(found, key=abs) if found else None


def counted(records: Sequence[Record]) -> list[Record]:
    """Systems whose replay settled and for which the model has numbers."""
    return [record for record in records if record["steady"] and "refused" not in record["predicted"]]


def row(name: str, records: Sequence[Record], fewest: int) -> Row:
    """Of the systems that settled and were predicted."""
    settled = counted(records)
    errors = {}
    for metric in METRICS:
        values = [worst_stream(record, metric, fewest) for record in settled]
        errors[metric] = np.array([value for value in values if value is not None])
    widths = [
        stream["half_width"].get("tpot_ms.mean", 0.0) / stream["tpot_ms.mean"]
        for record in settled
        for stream in record["streams"]
        if stream["tpot_ms.mean"]
    ]
    return Row(name, errors, float(np.mean(widths)) if widths else 0.0)


def tables(records: Sequence[Record], fewest: int) -> str:
    """Markdown: by regime, then by mode and load, then by number of streams."""
    lines = [*_table("regime", [row(name, part, fewest) for name, part in _by(records, "regime").items()])]
    for mode, part in _by(records, "mode").items():
        rows = []
        for low, high in BANDS:
            inside = [r for r in part if r["load"] is not None and low <= r["load"] < high]
            if inside:
                rows.append(row(f"{mode}, {low:g}–{high:g}", inside, fewest))
        lines += ["", *_table("load", rows)]
    rows = []
    for mode, part in _by(records, "mode").items():
        for count in (1, 2, 3):
            same = [r for r in part if len(r["streams"]) == count]
            if same:
                rows.append(row(f"{mode}, {count}", same, fewest))
    lines += ["", *_table("streams", rows)]
    left = sum(not record["steady"] for record in records)
    refused = sum(record["steady"] and "refused" in record["predicted"] for record in records)
    told = f"{len(records)} systems; {left} did not settle and {refused} were refused by the model: both are left out."
    return "\n".join([*lines, "", told])


def _table(what: str, rows: Sequence[Row]) -> list[str]:
    lines = [f"| {what} | " + " | ".join(METRICS) + " | systems | replay ± |", "|---" * (len(METRICS) + 3) + "|"]
    for each in rows:
        cells = [_cell(100.0 * each.errors[metric]) for metric in METRICS]
        count = each.errors["tpot_ms.mean"].size
        lines.append(f"| {each.name} | " + " | ".join(cells) + f" | {count} | {100.0 * each.noise:.1f} |")
    return lines


def _cell(errors: np.ndarray) -> str:
    """Mean, 95th percentile and worst absolute error in per cent."""
    if not errors.size:
        return "–"
    size = np.abs(errors)
    return f"{size.mean():.1f} / {np.quantile(size, 0.95):.0f} / {size.max():.0f}"


def _by(records: Sequence[Record], key: str) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record[key], []).append(record)
    return found


def picture(records: Sequence[Record], fewest: int) -> str:
    """SVG: errors of mean TPOT, TTFT and p99 E2E against load, a row of panels for each mode."""
    shown = ("tpot_ms.mean", "ttft_ms.mean", "e2e_ms.p99")
    modes = _by(counted(records), "mode")
    panels = [
        _panel(f"{mode}: {metric}", part, metric, fewest, column * WIDTH, line * HEIGHT)
        for line, (mode, part) in enumerate(modes.items())
        for column, metric in enumerate(shown)
    ]
    width, height = len(shown) * WIDTH, len(modes) * HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="11" fill="#333"><rect width="{width}" height="{height}" fill="#fff"/>\n'
        + "\n".join(panels)
        + "\n</svg>\n"
    )


def _panel(title: str, records: Sequence[Record], metric: str, fewest: int, left: int, top: int) -> str:
    inner_width, inner_height = WIDTH - MARGIN - 10, HEIGHT - 44

    def x(load: float) -> float:
        return round(left + MARGIN + min(load, 1.0) * inner_width, 1)

    def y(error: float) -> float:
        inside = min(max(100.0 * error, -MOST), MOST)
        return round(top + 20 + (MOST - inside) / (2.0 * MOST) * inner_height, 1)

    parts = [f'<text x="{left + MARGIN}" y="{top + 13}" font-weight="bold">{title}</text>']
    for percent in (-20, -10, 0, 10, 20):
        at = y(percent / 100.0)
        shade = "#999" if percent == 0 else "#e3e3e3"
        parts.append(f'<path d="M{x(0.0)} {at}H{x(1.0)}" stroke="{shade}"/>')
        parts.append(f'<text x="{left + MARGIN - 4}" y="{at + 4}" text-anchor="end">{percent:+d} %</text>')
    loads = (0.0, 0.25, 0.5, 0.75, 1.0)
    parts += [f'<text x="{x(load)}" y="{top + HEIGHT - 8}" text-anchor="middle">{load:g}</text>' for load in loads]
    for kind, colour in (("open", "#1f6fb4"), ("closed", "#d9822b")):
        dots = ""
        for record in records:
            error = worst_stream(record, metric, fewest)
            if error is not None and record["load"] is not None and record["regime"].endswith(kind):
                dots += f"M{x(record['load'])} {y(error)}h0"
        if dots:
            style = f'stroke="{colour}" stroke-width="3.2" stroke-linecap="round" stroke-opacity=".55" fill="none"'
            parts.append(f'<path d="{dots}" {style}><title>{kind}</title></path>')
    return "\n".join(parts)
