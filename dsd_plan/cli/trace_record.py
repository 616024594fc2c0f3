"""`dsd-plan trace record`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dsd_plan.cli.options import AsJson, Seed
from dsd_plan.cli.terminal import progress, say_json


class Proposal(StrEnum):
    """How the draft proposes."""

    ARGMAX = "argmax"
    SAMPLED = "sampled"


Output = Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Parquet file to write.")]
Requests = Annotated[int, typer.Option("--requests", min=1, help="Prompts to run.")]
PromptTokens = Annotated[int, typer.Option("--prompt-tokens", min=1, help="Length of every prompt.")]
OutputTokens = Annotated[int, typer.Option("--output-tokens", min=2, help="Tokens generated for each prompt.")]
Temperature = Annotated[float, typer.Option("--temperature", min=0.0, help="The target's sampling temperature.")]
HowProposed = Annotated[
    Proposal, typer.Option("--proposal", help="argmax: one recording holds for every window; sampled: by round.")
]
Threads = Annotated[int, typer.Option("--threads", min=1, help="BLAS threads.")]


def run(
    output: Output,
    requests: Requests = 192,
    prompt_tokens: PromptTokens = 128,
    output_tokens: OutputTokens = 160,
    temperature: Temperature = 1.0,
    proposal: HowProposed = Proposal.ARGMAX,
    seed: Seed = 0,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Draft and target really run on prompts of several kinds; the same seed gives the same trace."""
    from dsd_plan.cli.trace_text import describe_acceptance, show_acceptance
    from dsd_plan.files import write_acceptance
    from dsd_plan.measure.record import bundled_pair, record_acceptance

    with progress("recording") as on_progress:
        trace = record_acceptance(
            bundled_pair(),
            requests=requests,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            temperature=temperature,
            proposal=proposal.value,
            seed=seed,
            threads=threads,
            on_progress=on_progress,
        )
    write_acceptance(output, trace)
    told = describe_acceptance(trace)
    if as_json:
        say_json({"file": str(output), **told})
    else:
        show_acceptance(str(output), told)
