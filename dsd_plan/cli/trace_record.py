"""`dsd-plan trace record`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsd_plan.cli.options import AsJson, Seed
from dsd_plan.cli.terminal import progress, say, say_json

if TYPE_CHECKING:
    from dsd_plan.measure.acceptance.record import RecordedPair


class Proposal(StrEnum):
    """How the draft proposes."""

    ARGMAX = "argmax"
    SAMPLED = "sampled"


class Form(StrEnum):
    """What a row of the trace is."""

    TOKENS = "tokens"
    ROUNDS = "rounds"


Output = Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Parquet file to write.")]
Target = Annotated[Path | None, typer.Option("--target", metavar="FOLDER", help="A target of your own.")]
Draft = Annotated[Path | None, typer.Option("--draft", metavar="FOLDER", help="A draft of your own.")]
PromptFile = Annotated[
    Path | None,
    typer.Option("--prompts", metavar="FILE", help="A prompt a line (.txt), or tables with prompt and task (.jsonl)."),
]
Requests = Annotated[
    int | None, typer.Option("--requests", min=1, help="Prompts to run; 192 library texts, or all of --prompts.")
]
PromptTokens = Annotated[int, typer.Option("--prompt-tokens", min=1, help="Length of a library prompt.")]
OutputTokens = Annotated[int, typer.Option("--output-tokens", min=2, help="Tokens generated for each prompt.")]
Temperature = Annotated[float, typer.Option("--temperature", min=0.0, help="The target's sampling temperature.")]
TopP = Annotated[float, typer.Option("--top-p", help="Share of the probability that sampling keeps.")]
HowProposed = Annotated[
    Proposal, typer.Option("--proposal", help="argmax: one recording holds for every window; sampled: by round.")
]
Window = Annotated[
    int | None, typer.Option("--window", min=1, max=64, help="Proposals a round; 1 for tokens, 8 for rounds.")
]
Candidates = Annotated[int, typer.Option("--candidates", min=1, max=64, help="Candidate paths a round.")]
InForm = Annotated[Form | None, typer.Option("--form", help="tokens where they tell all, else rounds.")]
Timed = Annotated[bool, typer.Option("--timed", help="Rounds with draft_ms and verify_ms, one request at a time.")]
LogsOut = Annotated[
    Path | None, typer.Option("--logs-out", metavar="FILE", help="The completions too (JSONL), as `trace score` reads.")
]
On = Annotated[str, typer.Option("--on", help="Where models of your own run: cpu, cuda, cuda:1 or mps.")]
Dtype = Annotated[str | None, typer.Option("--dtype", help="Their number format: float32, bfloat16 or float16.")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="CPU threads.")]


def run(
    output: Output,
    target: Target = None,
    draft: Draft = None,
    prompts: PromptFile = None,
    requests: Requests = None,
    prompt_tokens: PromptTokens = 128,
    output_tokens: OutputTokens = 160,
    temperature: Temperature = 1.0,
    top_p: TopP = 1.0,
    proposal: HowProposed = Proposal.ARGMAX,
    window: Window = None,
    candidates: Candidates = 1,
    form: InForm = None,
    timed: Timed = False,
    logs_out: LogsOut = None,
    seed: Seed = 0,
    on: On = "cpu",
    dtype: Dtype = None,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """Draft and target really run: the bundled pair, or with --target and --draft two folders for transformers.

    The output is distributed exactly as the target's own. The same seed gives the same trace. Nothing is written when
    it is interrupted.
    """
    from dsd_plan.cli.trace_text import describe_acceptance, show_acceptance
    from dsd_plan.files import write_acceptance
    from dsd_plan.files.writing import write_whole
    from dsd_plan.measure.acceptance.drafts import ready_bundled, ready_folders
    from dsd_plan.measure.acceptance.logs import completion_rows
    from dsd_plan.measure.acceptance.record import Asked, record

    if output.suffix.lower() != ".parquet":
        raise typer.BadParameter("a trace is Parquet: let the name after -o end in .parquet")
    if not 0.0 < top_p <= 1.0:
        raise typer.BadParameter(f"--top-p {top_p:g}: expected a number above 0, at most 1")
    if (target is None) != (draft is None):
        raise typer.BadParameter("--target and --draft go together; without both the bundled pair runs")
    asked = Asked(
        output_tokens=output_tokens,
        proposal=proposal.value,
        form=None if form is None else form.value,
        window=window,
        candidates=candidates,
        temperature=temperature,
        top_p=top_p,
        timed=timed,
        seed=seed,
        threads=threads,
    )
    pair: RecordedPair[Any]
    if target is None or draft is None:
        pair, starts = ready_bundled(prompts, requests, prompt_tokens, seed)
    elif prompts is None:
        raise typer.BadParameter("models of your own need --prompts: what your users ask, a line each")
    else:
        pair, starts = ready_folders(target, draft, prompts, requests, on, dtype)
    with progress("recording") as on_progress:
        recorded = record(pair, starts, asked, on_progress)
    write_acceptance(output, recorded.trace)
    told = describe_acceptance(recorded.trace)
    if logs_out is not None:
        rows = completion_rows(
            recorded.completions,
            target=pair.target_name,
            tokenizer_hash=pair.tokenizer_hash,
            temperature=temperature,
            top_p=top_p,
        )
        write_whole(logs_out, "".join(rows).encode("utf-8"))
    if as_json:
        say_json({"file": str(output)} | ({} if logs_out is None else {"logs": str(logs_out)}) | told)
        return
    show_acceptance(str(output), told)
    if logs_out is not None:
        say(f"wrote {logs_out}: {len(recorded.completions):,} completions")
