"""`dsd-plan profile compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsd_plan.cli.options import AsJson
from dsd_plan.cli.terminal import say, say_json, show_table, warn

if TYPE_CHECKING:
    from dsd_plan.domain.profile_difference import ProfileDifference

Before = Annotated[Path, typer.Argument(metavar="BEFORE", help="Profile file (JSON).")]
After = Annotated[Path, typer.Argument(metavar="AFTER", help="Profile file (JSON) to compare with it.")]

MOST_ROWS = 12
"""Points that changed and are printed; `--json` tells all."""


def run(before: Before, after: After, as_json: AsJson = False) -> None:
    """What changed from BEFORE to AFTER, and whether it is more than chance and the machines' drift.

    A ratio is the second median over the first: below 1 is faster. Intervals are of 95 % and hold the recorded drift
    of both runs; of the points called faster or slower, at most one in twenty should be called so wrongly.
    """
    from dsd_plan.domain.profile_difference import profile_difference
    from dsd_plan.files import load_profile

    found = profile_difference(load_profile(before), load_profile(after))
    for warning in found.warnings:
        warn(warning)
    if as_json:
        say_json({"before": str(before), "after": str(after), **found.to_dict()})
    else:
        show_difference(str(before), str(after), found)


def show_difference(before: str, after: str, found: ProfileDifference) -> None:
    """Print what differs: the conditions first, then each kind of step, the points, and the laws."""
    from dsd_plan.cli.profile_text import say_hanging
    from dsd_plan.report.numbers import UNKNOWN, number, signed_share

    say(f"{before} -> {after}")
    same = "not the same: " if found.conditions else "the same model, device, backend, software and set-up"
    told = "; ".join(f"{c.what} {c.before or 'not said'} -> {c.after or 'not said'}" for c in found.conditions)
    say_hanging(f"  {same}{told}", 4)
    drifts = ", then ".join(
        "not recorded" if drift is None else signed_share(drift) for drift in (found.drift_before, found.drift_after)
    )
    say(f"  drift within the runs: {drifts}")
    if found.kinds:
        say()
        rows = [
            (
                kind.kind,
                kind.change,
                number(kind.ratio),
                _ends(kind.low, kind.high),
                f"{kind.faster} / {kind.slower} / {kind.points}",
            )
            for kind in found.kinds
        ]
        show_table(("  step", "verdict", "ratio", "95 % interval", "faster / slower / all"), _in(rows), text_columns=2)
        _points(found)
    say()
    law = [
        (c.coefficient, number(c.before), number(c.after), UNKNOWN if c.ratio is None else number(c.ratio))
        for c in found.law
    ]
    show_table(("  law", "before", "after", "ratio"), _in(law))
    for words, keys in (("first", found.only_before), ("second", found.only_after)):
        if keys:
            say(f"  only in the {words}: {len(keys)} points")


def _points(found: ProfileDifference) -> None:
    from dsd_plan.cli.profile_text import say_hanging
    from dsd_plan.report.numbers import milliseconds, number

    changed = [point for point in found.points if point.change in ("faster", "slower")]
    if not changed:
        return
    changed.sort(key=lambda p: -max(p.ratio, 1.0 / p.ratio))
    rows = [
        (
            f"{p.kind} {p.point.batch} x {p.point.new_tokens} at {p.point.context_tokens}",
            p.change,
            milliseconds(p.before_ms),
            milliseconds(p.after_ms),
            number(p.ratio),
            _ends(p.low, p.high),
        )
        for p in changed[:MOST_ROWS]
    ]
    say()
    headers = ("  batch x tokens at context", "verdict", "before", "after", "ratio", "95 % interval")
    show_table(headers, _in(rows), text_columns=2)
    left = len(changed) - len(rows)
    more = f"the {len(rows)} largest of {len(changed)} changes; --json tells all; " if left else ""
    false = found.false_discovery_rate * len(changed)
    by_chance = f"at most {number(false)} expected to be so by chance if the runs' intervals hold"
    say_hanging(f"  {more}{len(changed)} points called changed, {by_chance}", 2)


def _ends(low: float | None, high: float | None) -> str:
    from dsd_plan.report.numbers import UNKNOWN, number

    return UNKNOWN if low is None or high is None else f"{number(low)}–{number(high)}"


def _in(rows: list[Any]) -> list[tuple[str, ...]]:
    return [(f"  {row[0]}", *row[1:]) for row in rows]
