"""`dsd-plan profile merge`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsd_plan.cli.options import AsJson
from dsd_plan.cli.terminal import say, say_json, warn
from dsd_plan.errors import Problem, ProfileError

if TYPE_CHECKING:
    from dsd_plan.domain.profile import LatencyProfile
    from dsd_plan.domain.profile_merge import Disagreement

Profiles = Annotated[list[Path], typer.Argument(metavar="PROFILE...", help="Profile files (JSON), two or more.")]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Profile file to write.")]
AllowDisagreement = Annotated[
    bool, typer.Option("--allow-disagreement", help="Join runs that differ significantly too; the profile says so.")
]

MOST_NAMED = 8


def run(
    profiles: Profiles, output: Output, allow_disagreement: AllowDisagreement = False, as_json: AsJson = False
) -> None:
    """Joins runs of one model on one device: steps of one run are taken, steps of several are pooled, the law refitted.

    Refused where the runs are not of one kind, or where more than one step in twenty differs by more than chance and
    the recorded drift, or any by more than a quarter.
    """
    from dsd_plan.domain.profile_merge import disagreements, joined_points, joined_profile, too_far_apart
    from dsd_plan.files import load_profile, write_profile
    from dsd_plan.measure.steps.fit import fit_step_law

    loaded = [load_profile(path) for path in profiles]
    sources = refuse_unlike(profiles, loaded)
    apart = disagreements(loaded)
    if too_far_apart(loaded, apart) and not allow_disagreement:
        raise ProfileError("profile merge", [*named_disagreements(apart, list(sources))])
    points = joined_points(loaded)
    joined = joined_profile(loaded, points, fit_step_law(points), sources)
    if apart:
        worst = apart[0].difference
        warn(
            f"differing by more than chance and drift: {len(apart)} of the runs' common points, at most by "
            f"{100 * (worst.ratio - 1):+.1f} %; their intervals span the runs, and the profile says so"
        )
    write_profile(output, with_note(joined, len(apart)))
    pooled = sum(len(profile.points) for profile in loaded) - len(points)
    told = {
        "profile": str(output),
        "runs": len(loaded),
        "points": len(points),
        "repeated": pooled,
        "samples": sum(point.samples for point in points),
        "disagreements": len(apart),
        "law_mean_error": joined.fit.mean_error,
        "sources": [{"file": name, "sha256": digest} for name, digest in sources.items()],
    }
    if as_json:
        say_json(told)
        return
    say(f"wrote {output}: {joined.model} on {joined.device}, {len(loaded)} runs, {len(points)} points")
    say(f"  {pooled} measurements pooled with others of the same step; {told['samples']:,} samples in all")


def refuse_unlike(paths: Sequence[Path], profiles: Sequence[LatencyProfile]) -> dict[str, str]:
    """SHA-256 sums by file name. Raises ProfileError with everything that forbids joining these files."""
    from hashlib import sha256

    from dsd_plan.domain.profile_merge import merge_problems
    from dsd_plan.files.reading import read_file

    problems: list[Problem] = []
    if len(paths) < 2:
        problems.append(Problem("", f"found {len(paths)} profile; give two or more to join"))
    digests = [sha256(read_file(path, ProfileError).data).hexdigest() for path in paths]
    for at, digest in enumerate(digests):
        first = digests.index(digest)
        if first < at:
            problems.append(Problem(str(paths[at]), f"is the same run as {paths[first]}; a run counts once"))
    problems += merge_problems(profiles, [str(path) for path in paths])
    if problems:
        raise ProfileError("profile merge", problems)
    return dict(zip(distinct([path.name for path in paths]), digests, strict=True))


def distinct(names: Sequence[str]) -> list[str]:
    """File names without their folders, numbered where several are called alike."""
    return [name if names.count(name) == 1 else f"{name} ({at})" for at, name in enumerate(names, 1)]


def named_disagreements(apart: Sequence[Disagreement], names: Sequence[str]) -> list[Problem]:
    """The worst of them, as problems."""
    problems = [
        Problem(
            f"{d.difference.kind}, batch {d.difference.point.batch}, {d.difference.point.new_tokens} new and "
            f"{d.difference.point.context_tokens} context tokens",
            f"{d.difference.before_ms:.4g} ms in {names[d.first]}, {d.difference.after_ms:.4g} ms in "
            f"{names[d.second]} ({100 * (d.difference.ratio - 1):+.1f} %)",
        )
        for d in apart[:MOST_NAMED]
    ]
    more = len(apart) - len(problems)
    others = f"and {more} more; " if more else ""
    advice = (
        f"{others}these runs differ by more than chance and drift: see `profile compare`, measure again on a quiet "
        "machine, or join them all the same with --allow-disagreement"
    )
    return [*problems, Problem("", advice)]


def with_note(profile: LatencyProfile, apart: int) -> LatencyProfile:
    """The profile, saying how many comparisons of its runs' common points disagreed."""
    from dataclasses import replace

    return replace(profile, method={**(profile.method or {}), "disagreements": apart})
