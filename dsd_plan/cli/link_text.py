"""What a link profile says, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dsd_plan.cli.terminal import say, show_table
from dsd_plan.report.numbers import milliseconds, number, share

if TYPE_CHECKING:
    from dsd_plan.domain.link_profile import LinkProfile, LossEstimate, OneWay, PayloadRtt
    from dsd_plan.domain.scenario import Scenario

POOR_FIT = 0.2
"""The law of `jitter_cv` misses the tail by more than this: worth a warning."""
MOSTLY = 0.8
"""A share of the variance from here on is one-sided."""


def link_text(profile: LinkProfile) -> tuple[tuple[str, str], ...]:
    """Rows (what, how much) of a link profile, headline first."""
    rtt, fit = profile.rtt_ms, profile.jitter_fit
    how = f"against {profile.listener}, {profile.samples:,} round trips over {profile.transport}"
    law = f"which tells p95 to {_error(fit.p95_error)} and p99 to {_error(fit.p99_error)}"
    return (
        ("measured", f"{profile.measured_at}, {how}"),
        ("RTT p50", milliseconds(rtt.p50) + _between(rtt.p50_low, rtt.p50_high)),
        ("RTT p95", milliseconds(rtt.p95) + _between(rtt.p95_low, rtt.p95_high)),
        ("RTT p99", milliseconds(rtt.p99)),
        ("RTT mean, std", f"{milliseconds(rtt.mean)}, {milliseconds(rtt.std)}"),
        ("from one to the next", milliseconds(rtt.successive)),
        ("jitter up", _one_way(profile.up)),
        ("jitter down", _one_way(profile.down)),
        ("one-sidedness", _sides(profile.up_share)),
        ("jitter_cv", f"{number(profile.jitter_cv)}, {law}"),
        ("bandwidth up", _rate(profile.uplink_mbps)),
        ("bandwidth down", _rate(profile.downlink_mbps)),
        ("loss up", _loss(profile.loss_up)),
        ("loss down", _loss(profile.loss_down)),
    )


def link_warnings(profile: LinkProfile) -> tuple[str, ...]:
    """What a reader of the numbers has to know."""
    found = []
    if profile.method.get("ended_early"):
        found.append(f"ended early: {profile.method['ended_early']}; what was measured until then is kept")
    if profile.transport == "tcp":
        found.append("udp did not get through: loss is not known, and round trips over tcp hold the cost of resending")
    if profile.jitter_fit.clipped or abs(profile.jitter_fit.p95_error) > POOR_FIT:
        found.append(
            "round trips do not follow the law of jitter_cv (see its errors): predictions keep their mean, and tell "
            "their tail as badly"
        )
    if profile.over_time and (moved := _moved(profile)) is not None:
        found.append(moved)
    return tuple(found)


def measured_links(scenario: Scenario) -> Iterator[str]:
    """A line for each link of a scenario whose numbers were measured."""
    for link in scenario.links:
        if link.profile is not None:
            known = link.profile
            yield (
                f"link {' – '.join(link.between)}: measured {known.measured_at}, {known.samples:,} round trips over "
                f"{known.transport}, p95 {milliseconds(known.rtt_ms.p95)}"
            )


def show_link(name: str, profile: LinkProfile) -> None:
    """Print a link profile."""
    say(f"{name}: link to {profile.listener}")
    show_table(("", ""), [(f"  {what}", value) for what, value in link_text(profile)], text_columns=2)
    say("  round trips by what is sent up, over each transport")
    show_table(
        ("  payload", "over", "samples", "p50", "p95", "p99"),
        [_payload_row(row) for row in profile.by_payload],
        text_columns=2,
    )
    if profile.up is not None and profile.up.mean_ms is None:
        say(
            "  clocks were not synchronised: how a delay splits into up and down cannot be known, only how much "
            "each direction varies"
        )


def _payload_row(row: PayloadRtt) -> tuple[str, ...]:
    quantiles = (row.rtt_ms.p50, row.rtt_ms.p95, row.rtt_ms.p99)
    return (f"  {row.up_bytes:,} B", row.transport, f"{row.samples:,}", *(milliseconds(value) for value in quantiles))


def _between(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    ends = ("?" if end is None else milliseconds(end) for end in (low, high))
    return f" ({' to '.join(ends)} at 95 %)"


def _one_way(way: OneWay | None) -> str:
    if way is None:
        return number(None)
    mean = "" if way.mean_ms is None else f"; mean delay {milliseconds(way.mean_ms)}"
    return f"std {milliseconds(way.excess_std_ms)}, p95 {milliseconds(way.excess_p95_ms)} over the fastest{mean}"


def _sides(up_share: float | None) -> str:
    if up_share is None:
        return "nothing varies"
    told = f"{share(up_share)} of the variance is upwards"
    if up_share >= MOSTLY:
        return f"{told}: the way up is the unsteady one"
    return f"{told}: the way down is the unsteady one" if up_share <= 1 - MOSTLY else told


def _error(error: float) -> str:
    # The law cannot miss by less than the data are known; a whole percent is as fine as it goes.
    return f"{error:+.0%}"


def _rate(mbps: float | None) -> str:
    return "not measured" if mbps is None else f"{number(mbps)} Mbit/s"


def _loss(loss: LossEstimate | None) -> str:
    if loss is None:
        return "not known"
    return f"{share(loss.share)} ({share(loss.low)} to {share(loss.high)} at 95 %), {loss.lost} of {loss.sent:,}"


def _moved(profile: LinkProfile) -> str | None:
    """Whether the median in some stretch lies far from the whole measurement's."""
    solid = [moment for moment in profile.over_time if moment.samples >= 10]
    if len(solid) < 4:
        return None
    slow, fast = max(solid, key=lambda m: m.p50_ms), min(solid, key=lambda m: m.p50_ms)
    if slow.p50_ms <= fast.p95_ms or slow.p50_ms < 1.2 * fast.p50_ms:
        return None
    return (
        f"the round trip changed while it was measured: median {milliseconds(fast.p50_ms)} around {fast.at_s:.0f} s, "
        f"{milliseconds(slow.p50_ms)} around {slow.at_s:.0f} s; measure at several times of day"
    )
