"""What a profile says, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsd_plan.cli.heat_table import heat_table, sparkline
from dsd_plan.cli.terminal import say, say_wrapped
from dsd_plan.report.markup import MARKS
from dsd_plan.report.numbers import milliseconds, number
from dsd_plan.report.profile_words import NOT_VERIFIED

if TYPE_CHECKING:
    from dsd_plan.domain.profile import LatencyProfile


def describe_profile(file: str, profile: LatencyProfile) -> dict[str, Any]:
    """Its summary, how it was measured, its step times by axis, what verifying costs, and how well all is known."""
    from dsd_plan.domain.profile_view import profile_view
    from dsd_plan.domain.summary import profile_summary
    from dsd_plan.report.profile_words import law_lines, shown_tables, trust_lines

    told = profile_summary(profile)
    arranged = profile_view(profile)
    view = arranged.to_dict()
    return {
        "file": file,
        **told,
        "method": profile.method,
        "weights_gib": profile.weights_gib,
        "kv_mib_per_token": profile.kv_mib_per_token,
        "citation": profile.citation,
        "trust": view["trust"],
        "in_words": {
            "trust": dict(trust_lines(profile, arranged.trust)),
            "law": list(law_lines(profile.fit.law)),
            "contexts": [table.context_tokens for table in shown_tables(arranged.steps)],
        },
        "steps": view["steps"],
        "context": view["context"],
        "prefill_steps": view["prefill"],
        "measured_points": view["points"],
    }


def show_profile(told: dict[str, Any]) -> None:
    """Print what `describe_profile` says."""
    _head(told)
    _trust(told)
    shown = [table for table in told["steps"] if table["context_tokens"] in told["in_words"]["contexts"]]
    for table in shown:
        _steps(table)
    if all(len(table["new_tokens"]) < 2 for table in shown):
        say(f"  {NOT_VERIFIED}")
    for table in shown:
        _verify_cost(table)
    _prefill(told["prefill_steps"])
    _law(told)


def _head(told: dict[str, Any]) -> None:
    made = [told[key] for key in ("backend", "precision", "measured_at") if told[key] is not None]
    say_wrapped(f"{told['model']} on {told['device']}: {', '.join([told['origin'], *made])}")
    sizes = []
    if told["weights_gib"] is not None:
        sizes.append(f"weights {number(told['weights_gib'])} GiB")
    if told["kv_mib_per_token"] is not None:
        sizes.append(f"KV {number(told['kv_mib_per_token'])} MiB a token")
    say_wrapped("  " + "; ".join([told["file"], *sizes]))
    if told["citation"]:
        say_hanging(f"  taken from: {told['citation']}", 4)


def _trust(told: dict[str, Any]) -> None:
    say()
    say("How far can it be trusted?")
    for what, words in told["in_words"]["trust"].items():
        say_hanging(f"  {what:<12}{words}", 14)


def say_hanging(text: str, indent: int) -> None:
    """A line of the result, folded to the terminal's width, its further lines indented."""
    from shutil import get_terminal_size
    from textwrap import wrap

    width = max(40, get_terminal_size().columns)
    for line in wrap(text, width, subsequent_indent=" " * indent, break_on_hyphens=False):
        say(line)


def _told(value: float, origin: str) -> tuple[float, str]:
    sign = "" if origin == "measured" else MARKS[origin]  # type: ignore[index]
    return value, f"{number(value)}{sign}"


def _steps(table: dict[str, Any]) -> None:
    say()
    say_wrapped(
        f"How long is a step? Median ms; new tokens a sequence across; {table['context_tokens']:,} tokens of context"
    )
    rows = [(f"{row['batch']}", [_told(cell["ms"], cell["origin"]) for cell in row["cells"]]) for row in table["rows"]]
    heat_table("batch", [f"{new}" for new in table["new_tokens"]], rows)
    _signs([cell for row in table["rows"] for cell in row["cells"]])


def _signs(cells: list[dict[str, Any]]) -> None:
    found = [origin for origin in MARKS if origin != "measured" and any(cell["origin"] == origin for cell in cells)]
    if found:
        say("  " + ", ".join(f"{MARKS[origin]} {origin}" for origin in found))


def _verify_cost(table: dict[str, Any]) -> None:
    if len(table["new_tokens"]) < 2:
        return
    say()
    say_wrapped(f"What does verifying more tokens cost? In plain steps; {table['context_tokens']:,} tokens of context")
    rows = []
    for row in table["rows"]:
        cells = row["verify_cost"]
        bars = sparkline([(cell["ms"] - 1.0) / (cell["new_tokens"] - 1) for cell in cells])
        rows.append((f"{row['batch']} {bars}", [_told(cell["ms"], cell["origin"]) for cell in cells]))
    heat_table("batch", [f"{new}" for new in table["new_tokens"][1:]], rows)
    say_wrapped(
        "  bars: ▁ more tokens cost nothing, █ they cost as many steps as tokens; low bars are where speculation pays"
    )


def _prefill(rows: list[dict[str, Any]]) -> None:
    shown = [row for row in rows if not row["beyond"]]
    say()
    say("How fast is a prompt read? Median time of a step; tokens a second in brackets")
    prompts = list(dict.fromkeys(row["prompt_tokens"] for row in shown))
    batches = list(dict.fromkeys(row["batch"] for row in shown))
    found = {(row["batch"], row["prompt_tokens"]): row for row in shown}
    table = []
    for prompt in prompts:
        cells = [found[batch, prompt] for batch in batches]
        table.append((f"{prompt:,}", [(1.0 / cell["tokens_per_s"], _speed(cell)) for cell in cells]))
    heat_table("prompt tokens", [f"batch {batch}" for batch in batches], table)
    _signs(shown)


def _speed(cell: dict[str, Any]) -> str:
    sign = "" if cell["origin"] == "measured" else MARKS[cell["origin"]]
    return f"{milliseconds(cell['ms'])}{sign} ({number(cell['tokens_per_s'])})"


def _law(told: dict[str, Any]) -> None:
    say()
    say("What does the fitted law say? It answers beyond the table only")
    for words in told["in_words"]["law"]:
        say_hanging(f"  {words}", 4)
