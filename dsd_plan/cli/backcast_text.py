"""The present system on the terminal: predicted beside measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsd_plan.cli.terminal import say, say_wrapped, show_table

if TYPE_CHECKING:
    from dsd_plan.domain.study_decision import Backcast


def show_backcast(found: Backcast) -> None:
    """A row a number, then what they come to."""
    from dsd_plan.report.numbers import number, share

    say("today's system, reproduced")
    show_table(
        ("workload", "metric", "predicted", "measured", "predicted / measured"),
        [
            (
                row.workload,
                row.metric,
                number(row.predicted),
                number(row.measured),
                number(row.ratio) if row.measured is not None else "–",
            )
            for row in found.rows
        ],
        text_columns=2,
    )
    by_kind = ", ".join(f"{kind} {share(error)}" for kind, error in found.errors.items())
    say_wrapped(found.sentence + (f" By kind: {by_kind}." if len(found.errors) > 1 else ""))


def backcast_json(found: Backcast) -> dict[str, Any]:
    """The same as data."""
    return {
        "rows": [
            {
                "workload": row.workload,
                "metric": row.metric,
                "predicted": row.predicted,
                "measured": row.measured,
                "ratio": row.ratio if row.measured is not None else None,
            }
            for row in found.rows
        ],
        "error": found.error,
        "errors": found.errors,
        "bias": found.bias,
        "sentence": found.sentence,
    }
