"""`dsd-plan trace score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsd_plan.cli.options import AsJson
from dsd_plan.cli.terminal import progress, say, say_json, show_table, warn

if TYPE_CHECKING:
    from dsd_plan.domain.performance import Interval
    from dsd_plan.measure.acceptance.logs import CompletionLog
    from dsd_plan.measure.acceptance.ranking import Costs, RankedDraft
    from dsd_plan.measure.acceptance.score import Scored

Logs = Annotated[Path, typer.Option("--logs", metavar="FILE", help="Completions of the target (JSONL).")]
Drafts = Annotated[
    list[str],
    typer.Option("--draft", metavar="MODEL", help="bundled, or a local model's folder; repeat it to rank several."),
]
Output = Annotated[
    Path, typer.Option("-o", "--output", metavar="OUT", help="Parquet file for one draft, a folder for several.")
]
Temperature = Annotated[
    float | None, typer.Option("--temperature", min=0.0, help="The target's, where the log is silent.")
]
TopP = Annotated[float | None, typer.Option("--top-p", help="The target's, where the log is silent.")]
Target = Annotated[str | None, typer.Option("--target", metavar="NAME", help="Its name, where the log is silent.")]
TokenizerOf = Annotated[
    str | None,
    typer.Option("--tokenizer", metavar="FOLDER", help="The target's tokenizer (or bundled), where the log is silent."),
]
DraftMs = Annotated[list[float], typer.Option("--draft-ms", min=0.0, help="A draft step; once, or once a draft.")]
VerifyMs = Annotated[float | None, typer.Option("--verify-ms", min=0.0, help="A verify step of the target.")]
TargetMs = Annotated[
    float | None, typer.Option("--target-ms", min=0.0, help="Its decode step; --verify-ms if left out.")
]
RttMs = Annotated[float, typer.Option("--rtt-ms", min=0.0, help="Round trip between draft and target.")]
LargestWindow = Annotated[int, typer.Option("--windows", min=1, max=64, help="Largest window compared.")]
On = Annotated[str, typer.Option("--on", help="Where drafts of your own run: cpu, cuda, cuda:1 or mps.")]
Dtype = Annotated[str | None, typer.Option("--dtype", help="Their number format: float32, bfloat16 or float16.")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="CPU threads.")]


def run(
    logs: Logs,
    output: Output,
    draft: Drafts = ["bundled"],  # noqa: B006  (typer reads it and never changes it)
    temperature: Temperature = None,
    top_p: TopP = None,
    target: Target = None,
    tokenizer: TokenizerOf = None,
    draft_ms: DraftMs = [],  # noqa: B006
    verify_ms: VerifyMs = None,
    target_ms: TargetMs = None,
    rtt_ms: RttMs = 0.0,
    windows: LargestWindow = 12,
    on: On = "cpu",
    dtype: Dtype = None,
    threads: Threads = 1,
    as_json: AsJson = False,
) -> None:
    """One teacher-forced pass of each draft tells what the target would have accepted; the target does not run."""
    from dsd_plan.files import write_acceptance
    from dsd_plan.measure.acceptance.drafts import load_drafts, load_tokenizer
    from dsd_plan.measure.acceptance.logs import Said, read_completions
    from dsd_plan.measure.acceptance.ranking import ranked
    from dsd_plan.measure.acceptance.score import score_all

    costs = costs_of(len(draft), draft_ms, verify_ms, target_ms, rtt_ms)
    files = files_of(output, len(draft))
    whose = None if tokenizer is None else load_tokenizer(tokenizer)
    drafts = load_drafts(draft, on, dtype)
    log = read_completions(logs, drafts[0].tokenizer, Said(target, temperature, top_p, whose))
    with progress("scoring") as on_progress:
        scored = score_all(drafts, log, threads=threads, on_progress=on_progress)
    written = {one.draft: files or output / f"{one.draft}.parquet" for one in scored}
    for one in scored:
        write_acceptance(written[one.draft], one.trace)
    for note in notes_of(log, scored, len(draft_ms) == len(drafts)):
        warn(note)
    table = ranked(scored, costs, largest_window=windows)
    if as_json:
        say_json(told(logs, log, table, written))
    else:
        show(logs, log, table, written)


def files_of(output: Path, drafts: int) -> Path | None:
    """The file for a single draft; None where there is one a draft. Raises typer.BadParameter for a wrong kind."""
    is_file = output.suffix.lower() == ".parquet"
    if drafts == 1:
        if not is_file:
            raise typer.BadParameter("one draft gives one trace: let the name after -o end in .parquet")
        return output
    if is_file:
        raise typer.BadParameter("several drafts give a trace each: name a folder after -o")
    return None


def costs_of(
    drafts: int, draft_ms: list[float], verify_ms: float | None, target_ms: float | None, rtt_ms: float
) -> tuple[Costs, ...]:
    """Each draft's costs. Raises typer.BadParameter where only some are told."""
    from dsd_plan.measure.acceptance.ranking import DRAFT_SHARE, Costs

    if not draft_ms and verify_ms is None and target_ms is None and rtt_ms == 0.0:
        return (Costs(draft=DRAFT_SHARE, verify=1.0, target=1.0, unit="target steps"),) * drafts
    if not draft_ms or verify_ms is None:
        raise typer.BadParameter(
            "times go together: give --draft-ms and --verify-ms, or none (then a ratio is assumed)"
        )
    if len(draft_ms) not in (1, drafts):
        raise typer.BadParameter(f"--draft-ms is given {len(draft_ms)} times; give it once, or once for each --draft")
    steps = draft_ms * drafts if len(draft_ms) == 1 else draft_ms
    plain = verify_ms if target_ms is None else target_ms
    return tuple(Costs(draft=step, verify=verify_ms, target=plain, rtt=rtt_ms) for step in steps)


def notes_of(log: CompletionLog, scored: tuple[Scored, ...], told_times: bool) -> list[str]:
    """What a reader of the result must know about the log."""
    notes = []
    if log.retokenised:
        notes.append(
            f"{log.retokenised:,} requests had no token ids; their text was tokenised again, which is exact in text "
            "but need not be how the target spelt it"
        )
    if log.empty:
        notes.append(f"{log.empty:,} requests generated nothing and were left out")
    if log.top_p is None:
        notes.append("the log does not tell top_p, on which acceptance depends; say --top-p if it was below 1")
    if len(scored) > 1 and not told_times:
        notes.append(
            "every draft is assumed to cost the same, whatever its size; give --draft-ms once for each --draft"
        )
    if scored[0].left_out:
        notes.append(f"{scored[0].left_out:,} requests have prompts longer than the drafts' context and were left out")
    if scored[0].cut_tokens:
        notes.append(f"{scored[0].cut_tokens:,} generated tokens lie past the drafts' context and were not scored")
    return notes


def told(logs: Path, log: CompletionLog, table: tuple[RankedDraft, ...], written: dict[str, Path]) -> dict[str, Any]:
    """The result for a program, best draft first."""
    return {
        "logs": str(logs),
        "target": log.target,
        "tokenizer_hash": log.tokenizer_hash,
        "temperature": log.temperature,
        "top_p": log.top_p,
        "retokenised": log.retokenised,
        "drafts": [
            {
                "draft": one.draft,
                "file": str(written[one.draft]),
                "size_mib": one.weight_bytes / 2**20,
                "requests": one.requests,
                "tokens": one.tokens,
                "match_rate": one.match_rate,
                "match_rate_interval": interval_of(one.match_interval),
                "costs": {
                    "unit": one.costs.unit,
                    "draft": one.costs.draft,
                    "verify": one.costs.verify,
                    "target": one.costs.target,
                    "rtt": one.costs.rtt,
                },
                "best_window": one.best.window,
                "windows": [
                    {
                        "window": row.window,
                        "tokens_per_round": row.tokens_per_round,
                        "tokens_per_round_interval": interval_of(row.interval),
                        "tpot": row.tpot,
                        "break_even_rtt": row.break_even_rtt,
                    }
                    for row in one.windows
                ],
            }
            for one in table
        ],
    }


def interval_of(interval: Interval | None) -> list[float] | None:
    """Its ends."""
    return None if interval is None else [interval.low, interval.high]


def show(logs: Path, log: CompletionLog, table: tuple[RankedDraft, ...], written: dict[str, Path]) -> None:
    """The drafts, best first, and what the best one does with every window."""
    from dsd_plan.report.numbers import number

    best, costs = table[0], table[0].costs
    say(f"{logs}: {best.tokens:,} tokens of {best.requests:,} completions of {log.target}")
    say(f"  sampled at temperature {log.temperature:g}" + ("" if log.top_p is None else f", top-p {log.top_p:g}"))
    if costs.unit == "ms":
        say(f"  a verify step takes {number(costs.verify)} ms, a round trip {number(costs.rtt)} ms; no queueing")
    else:
        say(f"  assumed: a draft step costs {costs.draft:g} of a target step, a verify step 1, a round trip 0;")
        say("  --draft-ms, --verify-ms and --rtt-ms make it yours")
    say()
    show_table(
        ("draft", "MiB", "match % (95 %)", "window", "tokens", "TPOT", "RTT below"),
        [
            (
                one.draft,
                number(one.weight_bytes / 2**20),
                f"{100 * one.match_rate:.1f}"
                + ("" if (ends := one.match_interval) is None else f" ({100 * ends.low:.1f}-{100 * ends.high:.1f})"),
                str(one.best.window),
                number(one.best.tokens_per_round),
                number(one.best.tpot),
                number(one.best.break_even_rtt),
            )
            for one in table
        ],
    )
    say("  with each draft's best window: tokens a round, time an output token, and the round trip below which")
    say(f"  drafting beats plain decoding, the last two in {costs.unit}")
    say()
    show_table(
        (f"{best.draft}: window", "tokens", "95 % interval", "TPOT", "RTT below"),
        [
            (
                str(row.window),
                number(row.tokens_per_round),
                "-" if row.interval is None else f"{row.interval.low:.3f}-{row.interval.high:.3f}",
                number(row.tpot),
                number(row.break_even_rtt),
            )
            for row in best.windows
        ],
    )
    for path in written.values():
        say(f"wrote {path}")
