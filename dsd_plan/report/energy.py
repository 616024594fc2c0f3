"""Where the joules go, by device and by what they were spent on; what each option takes; who pays for what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsd_plan.domain.attribution import AttributedPart, EnergyPart
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.study import Study
from dsd_plan.report.blocks import Block, Chart, Folded, KeyEntry, Prose
from dsd_plan.report.figures import axis, bar_marker, layout, token
from dsd_plan.report.markup import chart_text, isolated, printable
from dsd_plan.report.numbers import quantity, share
from dsd_plan.report.prices import PART_NAMES, price_lines, price_table
from dsd_plan.report.reading import best_known, option_numbers
from dsd_plan.report.tables import Cell, Number, Table, named

PARTS = (
    ("prefill", "prompts", "part-network", ""),
    ("verify", "verification", "part-verify", ""),
    ("decode", "plain decoding", "part-decode", ""),
    ("drafting", "drafting", "part-draft", ""),
    ("drafts accepted", "drafts that were accepted", "part-draft", ""),
    ("drafts rejected", "drafts that were rejected", "part-draft", "/"),
    ("drafts thrown away", "drafts that were thrown away", "part-draft", "x"),
    ("idle", "idle", "part-wait", ""),
)
"""What energy is spent on, its words, colour token and hatching, in the order drawn."""
WORDS = {part: words for part, words, _, _ in PARTS}
ENERGY_HELP = (
    "A bar is one device type: the joules that it draws for every token that users get from the whole fleet, split by "
    "what it was doing. Hatched parts went into proposals that nobody got. Idle power is drawn whether or not anybody "
    "asks."
)
MOST_DRAWN = 10


def energy_blocks(study: Study) -> list[Block]:
    """The chosen plan's energy by part, every option's energy, and who pays; in words where nothing is known."""
    blocks: list[Block] = []
    if any(row.energy_j_per_token for row in study.energy_parts):
        blocks.append(_chart(study.energy_parts))
    blocks.append(_options(study))
    if study.prices:
        blocks += [price_table(study), *(Prose(line) for line in price_lines(study))]
    if study.attribution:
        blocks.append(Folded("Who pays for which part of which device", _payers(study.attribution)))
    return blocks


def _chart(rows: Sequence[EnergyPart]) -> Chart:
    largest = {row.device: 0.0 for row in rows}
    for row in rows:
        largest[row.device] = max(largest[row.device], row.energy_j_per_token or 0.0)
    devices = sorted(largest, key=lambda device: -largest[device])[:MOST_DRAWN]
    known = [part for part, _, _, _ in PARTS] + sorted({r.part for r in rows} - set(WORDS))
    data, key = [], []
    for part in known:
        mine = [r for r in rows if r.part == part and r.device in devices and r.energy_j_per_token]
        if mine:
            words, colour, hatch = next(((w, c, h) for p, w, c, h in PARTS if p == part), (printable(part), "bar", ""))
            data.append(_trace(mine, words, colour, hatch))
            key.append(KeyEntry(colour, words, "hatch" if hatch else "block"))
    frame = layout(
        axis("energy, J for each token of the fleet", rangemode="tozero"),
        axis("", autorange="reversed", ticks="", showgrid=False, type="category"),
        barmode="stack",
        bargap=0.4,
        uniformtext={"mode": "hide", "minsize": 12},
    )
    return Chart(
        slug="energy",
        question="Where do the joules go?",
        answer=_answer(rows),
        how_to_read=ENERGY_HELP,
        data=data,
        layout=frame,
        height_px=100 + 52 * len(devices),
        key=tuple(key),
        numbers=_numbers(rows),
    )


def _trace(rows: Sequence[EnergyPart], words: str, colour: str, hatch: str) -> dict[str, Any]:
    whose = [f", {chart_text(row.workload)}" if row.workload else "" for row in rows]
    return {
        "type": "bar",
        "orientation": "h",
        "x": [row.energy_j_per_token for row in rows],
        "y": [chart_text(row.device) for row in rows],
        "text": [share(row.share) if row.share else "" for row in rows],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "constraintext": "inside",
        "textfont": {"color": token("part-verify-ink" if colour == "part-verify" else "part-ink"), "size": 12},
        "marker": bar_marker(colour, hatch, hatch_opacity=0.45),
        "customdata": [f"{words}{name}" for name in whose],
        "hovertemplate": "%{customdata}: %{x:.3g} J<extra></extra>",
    }


def _answer(rows: Sequence[EnergyPart]) -> str:
    def where(row: EnergyPart) -> str:
        whose = f" for {isolated(row.workload)}" if row.workload else ""
        return f"{WORDS.get(row.part, printable(row.part))} on {isolated(row.device)}{whose}"

    first = max(rows, key=lambda row: row.energy_j_per_token or 0.0)
    text = f"Most goes into {where(first)}: {quantity('energy_j_per_token', first.energy_j_per_token)} a token"
    text += f", {share(first.share)} of all." if first.share is not None else "."
    lost = [row for row in rows if row.part in ("drafts rejected", "drafts thrown away") and row.share]
    if lost:
        worst = max(lost, key=lambda row: row.share or 0.0)
        text += f" {WORDS[worst.part].capitalize()} take {share(worst.share)}."
    return text


def _numbers(rows: Sequence[EnergyPart]) -> Table:
    several = any(row.workload for row in rows)
    cells: list[tuple[Cell, ...]] = []
    for row in rows:
        whose: tuple[Cell, ...] = ()
        if several:
            whose = (named(row.workload) if row.workload else "nobody",)
        numbers = (Number(row.energy_j_per_token, "J", unknown="not known"), Number(row.share, "%"))
        cells.append((named(row.device), *whose, WORDS.get(row.part, printable(row.part)), *numbers))
    columns = ("Device", *(("Workload",) if several else ()), "Spent on", "Energy a token", "Share")
    return Table("Energy by what it was spent on", columns, tuple(cells), file="energy")


def _options(study: Study) -> Table | Prose:
    """Energy a token of every option; said in words where no option has it."""
    known: list[tuple[str, Performance]] = [
        (option.name, found) for option in study.options if (found := option_numbers(option)) is not None
    ]
    energies = [found.fleet.energy_j_per_token for _, found in known]
    if all(value is None for value in [*energies, best_known(study).fleet.energy_j_per_token]):
        return Prose(
            "Energy a token is not known: at least one deployed device has no measured or declared power, "
            "so there is no sum to show."
        )
    rows = tuple(
        (
            named(name),
            Number(found.fleet.power_w, "W", unknown="not known"),
            Number(found.fleet.energy_j_per_token, "J", unknown="not known"),
        )
        for name, found in known
    )
    return Table(
        "What energy does a token take?",
        ("Option", "Power of the fleet", "Energy a token"),
        rows,
        file="energy-options",
    )


def _payers(parts: Sequence[AttributedPart]) -> Table:
    """Who pays for which part of which device; idle time is shared in proportion to use."""
    cells: list[tuple[Cell, ...]] = [
        (
            named(row.workload) if row.workload else "nobody",
            named(row.device),
            PART_NAMES[row.part],
            Number(row.busy_share, "%"),
            Number(row.cost_per_hour),
            Number(row.cost_with_idle_per_hour),
            Number(row.cost_per_million_tokens),
            Number(row.power_w, "W", unknown="not known"),
            Number(row.energy_j_per_token, "J", unknown="not known"),
        )
        for row in sorted(parts, key=lambda row: -row.cost_with_idle_per_hour)
    ]
    columns = (
        *("Workload", "Device", "For", "Of its time", "Cost an hour", "With idle time", "A million tokens", "Power"),
        "Energy a token",
    )
    return Table("Who pays for what?", columns, tuple(cells), file="attribution")
