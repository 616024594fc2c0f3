"""Devices that slow down while they work: what a profile's `sustained` means, in the long run and on the way there."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from dsd_plan.domain.profile import LatencyProfile

Points = tuple[tuple[float, float], ...]
"""(seconds of work, share of the initial speed left), from 0 s on; straight between, the last share from then on."""


def points_of(profile: LatencyProfile) -> Points:
    """How the speed falls; empty where it does not. A profile that begins later was at full speed at 0 s."""
    rows = profile.sustained or ()
    if all(share >= 1.0 for _, share in rows):
        return ()
    return rows if rows[0][0] <= 0.0 else ((0.0, 1.0), *rows)


def long_run_share(profile: LatencyProfile) -> float:
    """Share of the initial speed that is left in the end."""
    points = points_of(profile)
    return points[-1][1] if points else 1.0


@lru_cache(maxsize=256)
def in_the_long_run(profile: LatencyProfile) -> LatencyProfile:
    """The profile with all step times as they are when the device has slowed down; itself where it does not."""
    share = long_run_share(profile)
    if share == 1.0:
        return profile
    law = profile.fit.law
    scale = (1.0 if law.load_scale is None else law.load_scale) / share
    return replace(profile, fit=replace(profile.fit, law=replace(law, load_scale=scale)))


def slowing(device: str, profile: LatencyProfile) -> str | None:
    """How much longer a device's steps are in the long run, in words; None where they are not. Of either profile."""
    points = points_of(profile)
    if not points:
        return None
    seconds, share = points[-1]
    longer = f"its steps of {profile.model} take {1.0 / share:.2f} × as long"
    return f"{device} slows down: after {seconds:g} s of work {longer}"
