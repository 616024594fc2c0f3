"""`dsd-plan crosscheck`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from dsd_plan.cli.exit_codes import ExitCode
from dsd_plan.cli.inputs import plan_of
from dsd_plan.cli.options import AsJson, PlanPath, Replications, Requests, ScenarioPath, Seed
from dsd_plan.cli.terminal import say, say_json, say_wrapped, show_table, warn

if TYPE_CHECKING:
    from dsd_plan.domain.performance import Interval, Performance
    from dsd_plan.domain.study import Agreement

Tolerance = Annotated[
    float | None,
    typer.Option(
        "--tolerance", min=0.0, metavar="SHARE", help="For every metric; else 0.05 for means, 0.10 for quantiles."
    ),
]

MOST_IN_FULL, MOST_ROWS = 20, 16
"""Metrics that are all shown; lines that are where there are more."""


def run(
    scenario: ScenarioPath,
    plan: PlanPath,
    tolerance: Tolerance = None,
    seed: Seed = 0,
    requests: Requests = None,
    replications: Replications = 8,
    as_json: AsJson = False,
) -> None:
    """A metric agrees when the replay's interval lies within the tolerance of the prediction, disagrees when it
    lies outside, and is undecided when it straddles the edge. Exit code 4 when any metric disagrees.

    Both are without the scenario's [[faults]], of which the model knows nothing.
    """
    from dsd_plan.files import load_scenario
    from dsd_plan.planning import crosscheck

    checked = crosscheck(
        load_scenario(scenario),
        plan_of(plan),
        tolerance=tolerance,
        seed=seed,
        requests=requests,
        replications=replications,
    )
    if as_json:
        say_json(checked.to_dict())
    else:
        show_agreements(checked.agreements)
    for caveat in caveats(checked.predicted, checked.replayed, replications):
        warn(caveat)
    if checked.disagrees:
        raise typer.Exit(ExitCode.DISAGREES)


def caveats(predicted: Performance, replayed: Performance, replications: int) -> list[str]:
    """What must be known to believe the verdicts: the notes of both sides, each once."""
    told = dict.fromkeys((*predicted.notes, *replayed.notes))
    alone = "one replication has no interval, so that nothing can be decided; give --replications 2 or more"
    return [*told, alone] if replications == 1 else [*told]


def show_agreements(agreements: tuple[Agreement, ...]) -> None:
    """The answer; then a line a metric: what the model says, where the replay's interval lies, and the verdict.

    Of many metrics those that do not agree, and those that are furthest off.
    """
    from dsd_plan.report.numbers import number, signed_share

    say_wrapped(agreement_sentence(agreements))
    say()
    shown = agreements if len(agreements) <= MOST_IN_FULL else worst_first(agreements)[:MOST_ROWS]
    show_table(
        ("workload", "metric", "model", "replay", "95 % interval", "error", "verdict"),
        [
            (
                agreement.workload,
                metric_name(agreement.metric),
                number(agreement.predicted),
                number(agreement.observed.point),
                interval_of(agreement.observed),
                signed_share(agreement.relative_error),
                agreement.verdict,
            )
            for agreement in shown
        ],
        text_columns=2,
    )
    left = worst_first(agreements)[len(shown) :]
    if left:
        others = ", all agree" if all(a.verdict == "agrees" for a in left) else ""
        say(f"and {len(left):,} more that are less far off{others}; --json tells all")


def agreement_sentence(agreements: tuple[Agreement, ...]) -> str:
    """Do model and replay agree? How many metrics do, within what, and the one that is furthest off."""
    from dsd_plan.report.numbers import label, share, signed_share

    verdicts = Counter(agreement.verdict for agreement in agreements)
    tolerances = " or ".join(share(tolerance) for tolerance in sorted({a.tolerance for a in agreements}))
    counts = (
        f"{verdicts['agrees']} agree within {tolerances}, {verdicts['disagrees']} disagree, "
        f"{verdicts['undecided']} undecided"
    )
    if not agreements:
        return "Nothing was compared: no metric is known on both sides."
    worst = worst_first(agreements)[0]
    answer = "Model and replay disagree" if verdicts["disagrees"] else "Model and replay agree"
    if verdicts["undecided"] and not verdicts["disagrees"]:
        answer = (
            "Model and replay do not disagree" if verdicts["agrees"] else "Undecided whether model and replay agree"
        )
    where = f"{label(worst.metric)} of {worst.workload}, {signed_share(worst.relative_error)}"
    return f"{answer}: {counts}; furthest off is {where}."


def worst_first(agreements: tuple[Agreement, ...]) -> list[Agreement]:
    """Those that disagree, then undecided ones, then the rest; each by its error over its tolerance."""
    order = ("disagrees", "undecided", "agrees")
    return sorted(
        agreements, key=lambda a: (order.index(a.verdict), -abs(a.relative_error) / a.tolerance if a.tolerance else 0.0)
    )


def interval_of(observed: Interval) -> str:
    """From where to where; one replication has none, of level 0."""
    from dsd_plan.report.numbers import number

    return "none" if observed.level == 0.0 else f"{number(observed.low)}–{number(observed.high)}"


def metric_name(metric: str) -> str:
    """A metric as the report calls it, with its unit where the name doesn't tell: "TPOT p95, ms"."""
    from dsd_plan.report.numbers import label
    from dsd_plan.units import unit_of

    unit = unit_of(metric.partition(".")[0])
    return f"{label(metric)}, {unit}" if unit == "ms" else label(metric)
