"""The present system reproduced, where the study has it: how far what is predicted after it can be believed."""

from __future__ import annotations

from dsd_plan.domain.study import Study
from dsd_plan.report.blocks import Block, Prose
from dsd_plan.report.markup import printable
from dsd_plan.report.numbers import label, share
from dsd_plan.report.tables import Cell, Number, Table, named, quantity_cell


def present_blocks(study: Study) -> list[Block]:
    """What the model makes of today's system, beside its replay and what was measured of it."""
    found = study.backcast
    if found is None:
        return []
    rows: list[tuple[Cell, ...]] = [
        (
            named(row.workload),
            label(row.metric),
            quantity_cell(row.metric, row.predicted),
            quantity_cell(row.metric, row.replayed.point if row.replayed else None),
            quantity_cell(row.metric, row.measured),
            Number(row.ratio),
        )
        for row in found.rows
    ]
    columns = ("Workload", "Metric", "Predicted", "Replayed", "Measured", "Predicted / measured")
    blocks: list[Block] = [Prose(printable(found.sentence))]
    if rows:
        blocks.append(Table("Does the model reproduce today's system?", columns, tuple(rows), file="backcast"))
    if found.errors:
        told = ", ".join(f"{label(kind)} {share(error)}" for kind, error in found.errors.items())
        blocks.append(Prose(f"What it is off by on today's system is carried into what it predicts: {told}."))
    return blocks
