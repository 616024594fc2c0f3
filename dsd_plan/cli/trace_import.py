"""`dsd-plan trace import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsd_plan.cli.options import AsJson
from dsd_plan.cli.terminal import say, say_json, show_table, warn
from dsd_plan.cli.trace_record import Proposal
from dsd_plan.errors import InputError

if TYPE_CHECKING:
    from dsd_plan.files.trace_import import Imported, Kind

Source = Annotated[Path | None, typer.Argument(metavar="FILE", help="File of another tool.")]
From = Annotated[str | None, typer.Option("--from", metavar="KIND", help="Whose file it is; --list shows them.")]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="OUT", help="Traces are Parquet, counts without their rounds JSON."),
]
Listed = Annotated[bool, typer.Option("--list", help="Show every KIND.")]
Draft = Annotated[str | None, typer.Option("--draft", metavar="NAME", help="The draft model.")]
Target = Annotated[str | None, typer.Option("--target", metavar="NAME", help="The target model.")]
HowProposed = Annotated[Proposal | None, typer.Option("--proposal", help="How the draft proposed.")]
Temperature = Annotated[float | None, typer.Option("--temperature", min=0.0, help="The target's temperature.")]
TokenizerHash = Annotated[str | None, typer.Option("--tokenizer-hash", help="Of the tokenizer that both share.")]
Window = Annotated[int | None, typer.Option("--window", min=1, help="Proposals a round, where the file is silent.")]
Before = Annotated[Path | None, typer.Option("--before", metavar="FILE", help="The counters before the run.")]
Group = Annotated[str | None, typer.Option("--group", help="Which of several runs or models in the file.")]
SpanS = Annotated[float | None, typer.Option("--span-s", help="How long to sample a generator; a day unless said.")]
RatePerS = Annotated[float | None, typer.Option("--rate-per-s", help="Of lengths without times: how many arrive.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Of what is drawn: same seed, same result.")]

MOST_DESCRIBED = 2_000_000
"""Requests that are described at once: their columns are read whole."""


def run(
    source: Source = None,
    kind: From = None,
    output: Output = None,
    listed: Listed = False,
    draft: Draft = None,
    target: Target = None,
    proposal: HowProposed = None,
    temperature: Temperature = None,
    tokenizer_hash: TokenizerHash = None,
    window: Window = None,
    before: Before = None,
    group: Group = None,
    span_s: SpanS = None,
    rate_per_s: RatePerS = None,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """What a source does not tell is asked for or left out, never invented: aggregates stay aggregates."""
    from dsd_plan.files.trace_import import ImportOptions, import_trace

    if listed:
        show_kinds(as_json)
        return
    if source is None or kind is None or output is None:
        raise typer.BadParameter("give FILE, --from KIND and -o OUT; --list shows every KIND")
    told: dict[str, Any] = {
        "draft": draft,
        "target": target,
        "proposal": None if proposal is None else proposal.value,
        "temperature": temperature,
        "tokenizer_hash": tokenizer_hash,
        "window": window,
        "before": before,
        "group": group,
        "span_s": span_s,
        "rate_per_s": rate_per_s,
        "seed": seed,
    }
    options = {name: value for name, value in told.items() if value is not None}
    source_kind = chosen(kind)
    refuse_unheeded(source_kind, options)
    imported = import_trace(source, source_kind, ImportOptions(**options))
    write(output, imported)
    for note in imported.notes:
        warn(note)
    show(output, imported, as_json)


def refuse_unheeded(kind: Kind, options: dict[str, Any]) -> None:
    """Raise typer.BadParameter for options that change nothing, or are no time and no rate."""
    flags = {name: f"--{name.replace('_', '-')}" for name in options}
    unheeded = [flag for name, flag in flags.items() if not kind.takes(name)]
    wrong = [
        f"{flags[name]} {options[name]:g}: expected a number above 0"
        for name in ("span_s", "rate_per_s")
        if not 0 < options.get(name, 1.0) < float("inf")
    ]
    if unheeded:
        wrong.append(f"{', '.join(unheeded)}: of no effect with --from {kind.name}; leave it out")
    if wrong:
        raise typer.BadParameter("; ".join(wrong))


def show_kinds(as_json: bool) -> None:
    """Every source that can be read, and what its reader was checked against."""
    from dsd_plan.files.trace_import import KINDS

    if as_json:
        rows = [
            {"name": kind.name, "yields": kind.yields, "what": kind.what, "checked_against": kind.checked_against}
            for kind in KINDS
        ]
        say_json({"kinds": rows})
        return
    show_table(
        ("KIND", "gives", "reads", "checked against"),
        [(kind.name, kind.yields, kind.what, kind.checked_against or "unverified: documentation") for kind in KINDS],
        text_columns=4,
    )


def chosen(name: str) -> Kind:
    """The kind of this name. Raises typer.BadParameter naming the nearest."""
    import difflib

    from dsd_plan.files.trace_import import KINDS

    for kind in KINDS:
        if kind.name == name:
            return kind
    near = difflib.get_close_matches(name, [kind.name for kind in KINDS], n=1)
    advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(kind.name for kind in KINDS)}"
    raise typer.BadParameter(f"--from {name}: no such kind; {advice}")


def write(output: Path, imported: Imported) -> None:
    """In the form that fits what was read. Raises InputError where the ending of the name says another one."""
    import polars as pl

    from dsd_plan.domain.acceptance import AcceptanceCounts
    from dsd_plan.files import stream_requests, write_acceptance, write_acceptance_counts

    trace = imported.trace
    wanted = ".json" if isinstance(trace, AcceptanceCounts) else ".parquet"
    if output.suffix.lower() != wanted:
        what = "counts without their rounds" if wanted == ".json" else "a trace"
        raise InputError(str(output), f"what was read is {what}, written as {wanted}; let the name end so")
    if isinstance(trace, AcceptanceCounts):
        write_acceptance_counts(output, trace)
    elif isinstance(trace, pl.LazyFrame):
        stream_requests(output, trace)
    else:
        write_acceptance(output, trace)


def show(output: Path, imported: Imported, as_json: bool) -> None:
    """What `trace describe` says of the file that was written."""
    import polars as pl

    from dsd_plan.cli.trace_text import describe_acceptance, show_acceptance
    from dsd_plan.cli.workload_text import describe_requests, show_requests
    from dsd_plan.files import load_requests

    trace = imported.trace
    if not isinstance(trace, pl.LazyFrame):
        told, say_it = describe_acceptance(trace), show_acceptance
    elif (brief := in_brief(output))["requests"] > MOST_DESCRIBED:
        told, say_it = brief, show_brief
    else:
        told, say_it = describe_requests(load_requests(output)), show_requests
    if as_json:
        say_json({"file": str(output), "notes": list(imported.notes), **told})
    else:
        say_it(str(output), told)


def in_brief(output: Path) -> dict[str, Any]:
    """Sums over the requests that were written, which need no memory."""
    import polars as pl

    sums = pl.scan_parquet(output).select(
        pl.len().alias("requests"),
        pl.col("arrival_s").max().alias("span_s"),
        pl.col("prompt_tokens").mean().alias("mean_prompt_tokens"),
        pl.col("output_tokens").mean().alias("mean_output_tokens"),
    )
    return {"kind": "workload trace", **sums.collect(engine="streaming").row(0, named=True)}


def show_brief(file: str, told: dict[str, Any]) -> None:
    """Print what `in_brief` says."""
    from dsd_plan.report.numbers import number

    lengths = f"prompts of {number(told['mean_prompt_tokens'])} tokens, outputs of {number(told['mean_output_tokens'])}"
    say(f"{file}: workload")
    say(f"  {told['requests']:,} requests in {number(told['span_s'])} s, on average {lengths}")
    say("  `dsd-plan trace describe` tells its rate over time, its bursts and its lengths, and reads it whole")
