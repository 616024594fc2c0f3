"""What a profile says, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsd_plan.cli.heat_table import heat_table, sparkline, spread_evenly
from dsd_plan.cli.terminal import say
from dsd_plan.report.markup import MARKS
from dsd_plan.report.numbers import count, milliseconds, number, share, signed_share

if TYPE_CHECKING:
    from dsd_plan.domain.profile import LatencyProfile

MOST_CONTEXTS = 2
"""Contexts whose steps are printed: the smallest and the largest; `--json` tells all."""


def describe_profile(file: str, profile: LatencyProfile) -> dict[str, Any]:
    """Its summary, how it was measured, its step times by axis, what verifying costs, and how well all is known."""
    from dsd_plan.domain.profile_view import profile_view
    from dsd_plan.domain.summary import profile_summary

    told = profile_summary(profile)
    view = profile_view(profile).to_dict()
    return {
        "file": file,
        **told,
        "method": profile.method,
        "weights_gib": profile.weights_gib,
        "kv_mib_per_token": profile.kv_mib_per_token,
        "citation": profile.citation,
        "trust": view["trust"],
        "steps": view["steps"],
        "prefill_steps": view["prefill"],
        "measured_points": view["points"],
    }


def show_profile(told: dict[str, Any]) -> None:
    """Print what `describe_profile` says."""
    _head(told)
    _trust(told)
    for table in _some(told["steps"]):
        _steps(table)
    for table in _some(told["steps"]):
        _verify_cost(table)
    _prefill(told["prefill_steps"])
    _law(told)


def _head(told: dict[str, Any]) -> None:
    made = [told[key] for key in ("backend", "precision", "measured_at") if told[key] is not None]
    say(f"{told['model']} on {told['device']}: {', '.join([told['origin'], *made])}")
    sizes = []
    if told["weights_gib"] is not None:
        sizes.append(f"weights {number(told['weights_gib'])} GiB")
    if told["kv_mib_per_token"] is not None:
        sizes.append(f"KV {number(told['kv_mib_per_token'])} MiB a token")
    say("  " + "; ".join([told["file"], *sizes]))
    if told["citation"]:
        say(f"  taken from: {told['citation']}")


def _trust(told: dict[str, Any]) -> None:
    say()
    say("How far can it be trusted?")
    for what, words in trust_lines(told):
        say_hanging(f"  {what:<12}{words}", 14)


def say_hanging(text: str, indent: int) -> None:
    """A line of the result, folded to the terminal's width, its further lines indented."""
    from shutil import get_terminal_size
    from textwrap import wrap

    width = max(40, get_terminal_size().columns)
    for line in wrap(text, width, subsequent_indent=" " * indent, break_on_hyphens=False):
        say(line)


def trust_lines(told: dict[str, Any]) -> list[tuple[str, str]]:
    """What is known of each source of error, in words."""
    trust = told["trust"]
    lines = [("points", _points(trust))]
    if trust["points"]:
        lines.append(("medians", _medians(trust)))
        drift = trust["drift"]
        lines.append(("drift", "not recorded" if drift is None else f"{signed_share(drift)} from first to last step"))
        lines.append(("contention", trust["contention"] or "none seen"))
        checked = trust["held_out"]
        words = "not checked against steps left out"
        if checked is not None:
            words = (
                f"{share(checked['mean_error'])} mean, {share(checked['max_error'])} at most, "
                f"on {count(checked['points'])} steps left out of the table"
            )
        lines.append(("between", words))
    lines.append(("beyond", _beyond(trust, told["fit"]["folds"])))
    if trust["slicing"] is not None:
        lines.append(("layers", _slicing(trust["slicing"])))
    lines.append(("power", _power(told)))
    if told["sustained"]:
        seconds, left = told["sustained"][-1]
        lines.append(("sustained", f"{share(left)} of the speed left after {number(seconds)} s of work"))
    return lines


def _points(trust: dict[str, Any]) -> str:
    if not trust["points"]:
        return "none measured: every time is told by a declared law"
    fewest, most = trust["fewest_samples"], trust["most_samples"]
    return f"{count(trust['points'])} steps measured, {count(trust['samples'])} samples, {fewest} to {most} a step"


def _medians(trust: dict[str, Any]) -> str:
    if trust["well_known"] is None:
        return "one sample a step; their spread is not known"
    source = "" if trust["intervals"] == "recorded" else "; intervals from the samples' spread"
    return (
        f"{trust['well_known']} of {trust['points']} known within ±3 % (95 %); typical "
        f"±{share(trust['median_half_width'])}, widest ±{share(trust['widest_half_width'])}{source}"
    )


def _beyond(trust: dict[str, Any], folds: int) -> str:
    if trust["law_mean_error"] is None:
        return "the law's error is not known"
    checked = f" ({folds} folds)" if folds else ""
    return (
        f"the law alone errs by {share(trust['law_mean_error'])} mean, {share(trust['law_max_error'])} at most, "
        f"on points left out{checked}"
    )


def _slicing(cut: dict[str, Any]) -> str:
    fewer, more = cut["measured_layers"]
    told = f"scaled from {fewer} and {more} of {cut['layers']} layers"
    if cut["check"] is None:
        return f"{told}; not checked against a whole model"
    model = f" on {cut['check_model']}" if cut["check_model"] else ""
    return (
        f"{told}; checked against the whole{model}: {share(cut['check']['mean_error'])} mean, "
        f"{share(cut['check']['max_error'])} at most"
    )


def _power(told: dict[str, Any]) -> str:
    if told["power_source"] == "none":
        return "no power measured"
    known = [f"{word} {number(told[key])} W" for word, key in (("idle", "idle_w"), ("active", "active_w")) if told[key]]
    return f"{', '.join(known) or 'known'} ({told['power_source']})"


def _some(tables: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [tables[at] for at in spread_evenly(len(tables), MOST_CONTEXTS)]


def _told(value: float, origin: str) -> tuple[float, str]:
    sign = "" if origin == "measured" else MARKS[origin]  # type: ignore[index]
    return value, f"{number(value)}{sign}"


def _steps(table: dict[str, Any]) -> None:
    say()
    say(f"How long is a step? Median ms; new tokens a sequence across; {table['context_tokens']:,} tokens of context")
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
    say(f"What does verifying more tokens cost? In plain steps; {table['context_tokens']:,} tokens of context")
    rows = []
    for row in table["rows"]:
        cells = row["verify_cost"]
        bars = sparkline([(cell["ms"] - 1.0) / (cell["new_tokens"] - 1) for cell in cells])
        rows.append((f"{row['batch']} {bars}", [_told(cell["ms"], cell["origin"]) for cell in cells]))
    heat_table("batch", [f"{new}" for new in table["new_tokens"][1:]], rows)
    say("  bars: ▁ more tokens cost nothing, █ they cost as many steps as tokens; low bars are where speculation pays")


def _prefill(rows: list[dict[str, Any]]) -> None:
    shown = [row for row in rows if row["origin"] != "extrapolated"]
    if not shown:
        return
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
    for words in law_lines(told["fit"]["law"]):
        say(f"  {words}")


def law_lines(law: dict[str, Any]) -> list[str]:
    """What each coefficient means."""
    meanings = (
        ("step_ms", "ms", "a step, whatever it does"),
        ("per_token_ms", "ms", "more for each token decoded or verified"),
        ("per_prompt_token_ms", "ms", "more for each prompt token"),
        ("per_prompt_token_sq_us", "µs", "more for each prompt token squared"),
        ("per_kv_token_us", "µs", "more for each token of context, of each sequence"),
        ("mixed_kv_token_us", "µs", "more for each token of context where prompts are read in the same step"),
        ("load_scale", "×", "by load"),
        ("active_w", "W", "while it works"),
    )
    return [f"{number(law[key])} {unit}  {words}" for key, unit, words in meanings if law.get(key) is not None] + (
        ["more than tokens alone: bends at " + _knots(law["knots"])] if law.get("knots") else []
    )


def _knots(knots: list[list[float]]) -> str:
    return ", ".join(f"{number(tokens)} tokens {milliseconds(ms)}" for tokens, ms in knots)
