"""Arguments and options that several verbs share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ScenarioPath = Annotated[Path, typer.Argument(metavar="SCENARIO", help="Scenario file (TOML).")]
PlanPath = Annotated[Path, typer.Option("--plan", metavar="PLAN", help="Plan, or the study holding it (JSON).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Same seed, same result.")]
MOST_REQUESTS = 1_000_000_000
"""In one replication: days of work; what is asked for beyond is a slip."""
Requests = Annotated[
    int | None,
    typer.Option(
        "--requests",
        min=2,
        max=MOST_REQUESTS,
        show_default="4000, or all of a recording",
        help="Requests in one replication, in total.",
    ),
]
Replications = Annotated[
    int, typer.Option("--replications", min=1, help="Independent runs; two or more give intervals.")
]
