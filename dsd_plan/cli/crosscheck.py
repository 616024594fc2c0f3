"""`dsd-plan crosscheck`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from dsd_plan.cli.exit_codes import ExitCode
from dsd_plan.cli.inputs import plan_of
from dsd_plan.cli.options import AsJson, PlanPath, Replications, Requests, ScenarioPath, Seed
from dsd_plan.cli.terminal import say, say_json, show_table, warn

if TYPE_CHECKING:
    from dsd_plan.domain.performance import Interval, Performance
    from dsd_plan.domain.study import Agreement

Tolerance = Annotated[
    float | None,
    typer.Option(
        "--tolerance", min=0.0, metavar="SHARE", help="For every metric; else 0.05 for means, 0.10 for quantiles."
    ),
]


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
    """A line a metric: what the model says, where the replay's interval lies, and the verdict."""
    from dsd_plan.report.numbers import number, share, signed_share

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
            for agreement in agreements
        ],
        text_columns=2,
    )
    verdicts = Counter(agreement.verdict for agreement in agreements)
    tolerances = " or ".join(share(tolerance) for tolerance in sorted({a.tolerance for a in agreements}))
    say(
        f"{verdicts['agrees']} agree within {tolerances}, {verdicts['disagrees']} disagree, "
        f"{verdicts['undecided']} undecided"
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
