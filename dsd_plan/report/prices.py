"""Who pays, in lines and in a table: prices by workload and part, as the study holds them."""

from __future__ import annotations

from dsd_plan.domain.attribution import Part
from dsd_plan.domain.study import Study
from dsd_plan.report.numbers import several
from dsd_plan.report.tables import Cell, Number, Table, named

PART_NAMES: dict[Part, str] = {
    "draft": "drafting",
    "prefill": "prefill",
    "verify": "verification",
    "decode": "decoding",
    "idle": "idle",
}
MOST_LINES = 3


def price_lines(study: Study) -> list[str]:
    """A sentence a workload; of many only the first few."""
    lines = [f"{price.workload}: {price.sentence}" for price in study.prices[:MOST_LINES]]
    more = len(study.prices) - len(lines)
    return [*lines, f"and {several(more, 'more workload')}, in the study"] if more > 0 else lines


def price_table(study: Study) -> Table:
    """A row a workload and part; idle time is shared among them in proportion to their busy time."""
    rows: list[tuple[Cell, ...]] = [
        (
            named(price.workload),
            PART_NAMES[part.part],
            Number(part.cost_per_hour),
            Number(part.cost_per_million_tokens),
            Number(part.cost_per_million_accepted),
            Number(part.energy_j_per_token),
            Number(part.energy_j_per_accepted),
        )
        for price in study.prices
        for part in price.parts
    ]
    headings = (
        "Workload",
        "Part",
        "Cost an hour",
        "Cost a million tokens",
        "Cost a million accepted",
        "J a token",
        "J an accepted token",
    )
    return Table("What each part of the service costs, idle time included", headings, tuple(rows), file="prices")
