"""What was measured of a connection between two places."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Literal

from dsd_plan.domain.records import Count, Finite, Flag, Name, Natural, NonNegative, Positive, Probability, record
from dsd_plan.errors import Problem

Transport = Literal["udp", "tcp"]


@record
class RttStats:
    """Spread of round trips, without the time that the listener took to answer."""

    mean: NonNegative
    std: NonNegative
    min: NonNegative
    p50: NonNegative
    p95: NonNegative
    p99: NonNegative
    p50_low: NonNegative
    p50_high: NonNegative
    """95 % confidence interval of the median, from order statistics."""
    p95_low: NonNegative | None = None
    p95_high: NonNegative | None = None
    """Likewise of the 95th percentile; None where there are too few round trips for an end of it."""
    successive: NonNegative
    """Mean absolute difference between one round trip and the next."""


@record
class PayloadRtt:
    """Round trips of one size over one transport."""

    transport: Transport
    up_bytes: Natural
    """Payload there, without the probe's own framing."""
    down_bytes: Natural
    samples: Count
    rtt_ms: RttStats


@record
class OneWay:
    """Delay variation of one direction: what came on top of the fastest messages of it."""

    excess_std_ms: NonNegative
    excess_p50_ms: NonNegative
    excess_p95_ms: NonNegative
    excess_p99_ms: NonNegative
    mean_ms: NonNegative | None = None
    """Absolute mean delay; known only with synchronised clocks."""


@record
class JitterFit:
    """How well the law of `jitter_cv` tells the round trips that it was fitted to."""

    p95_error: Finite
    """Told/measured − 1, of the 95th percentile of the round trip."""
    p99_error: Finite
    clipped: Flag
    """The round trips vary more than the law can: `jitter_cv` is held at 1."""


@record
class LossEstimate:
    """Datagrams that did not arrive in one direction, with the 95 % Wilson interval of their share."""

    sent: Count
    lost: Natural
    share: Probability
    low: Probability
    high: Probability


@record
class RttMoment:
    """Round trips in one stretch of the measurement."""

    at_s: NonNegative
    """Middle of the stretch, from the start of the measurement."""
    samples: Count
    p50_ms: NonNegative
    p95_ms: NonNegative


@record
class LinkProfile:
    """A measured connection. *Up* is from where it was measured to the listener."""

    listener: Name
    measured_at: str
    software: dict[str, str]
    method: dict[str, str | float | int | bool | None]
    transport: Transport
    """Over which `rtt_ms`, `jitter_cv` and the directions were measured; tcp only where udp did not get through."""
    samples: Count
    rtt_ms: RttStats
    """Of all messages as small as a round of token ids."""
    by_payload: tuple[PayloadRtt, ...] = ()
    up: OneWay | None = None
    down: OneWay | None = None
    up_share: Probability | None = None
    """One-sidedness: the upward share of the delay's variance; 0.5 is symmetric."""
    clock_drift_ppm: Finite | None = None
    """How much faster the listener's clock runs."""
    jitter_cv: Probability
    """One-way delay = mean · (1 + cv · (E − 1)), E ~ Exp(1), independent in each direction."""
    jitter_fit: JitterFit
    uplink_mbps: Positive | None = None
    downlink_mbps: Positive | None = None
    loss: Probability | None = None
    """Share of datagrams lost, both directions together; None where udp did not get through."""
    loss_up: LossEstimate | None = None
    loss_down: LossEstimate | None = None
    over_time: tuple[RttMoment, ...] = ()

    def __hash__(self) -> int:
        # Its dict fields cannot be hashed.
        return id(self)


LINK_KEYS = ("rtt_ms", "up_ms", "down_ms", "jitter_cv", "uplink_mbps", "downlink_mbps", "loss")
"""What a profile gives a scenario's link."""


def link_values(profile: LinkProfile) -> dict[str, Any]:
    """The keys of a scenario's link, from its profile.

    Round trips over tcp hold what resending cost, so that loss is then 0 and not counted twice.
    """
    up_ms = None if profile.up is None else profile.up.mean_ms
    down_ms = None if profile.down is None else profile.down.mean_ms
    synchronised = up_ms is not None and down_ms is not None
    return {
        "rtt_ms": None if synchronised else profile.rtt_ms.mean,
        "up_ms": up_ms if synchronised else None,
        "down_ms": down_ms if synchronised else None,
        "jitter_cv": profile.jitter_cv,
        "uplink_mbps": profile.uplink_mbps,
        "downlink_mbps": profile.downlink_mbps,
        "loss": 0.0 if profile.loss is None else profile.loss,
    }


def link_profile_problems(profile: LinkProfile) -> tuple[Problem, ...]:
    """Everything in a link's profile that cannot be true."""
    found = [*_spread("rtt_ms", profile.rtt_ms)]
    for index, row in enumerate(profile.by_payload):
        found += _spread(f"by_payload[{index}].rtt_ms", row.rtt_ms)
    for name in ("loss_up", "loss_down"):
        found += _loss(name, getattr(profile, name))
    if profile.loss is not None and profile.loss >= 1:
        found.append(Problem("loss", "found 1, expected less than 1: a link that loses everything carries nothing"))
    one_way = [
        name for name in ("up", "down") if (way := getattr(profile, name)) is not None and way.mean_ms is not None
    ]
    if len(one_way) == 1:
        missing = "down" if one_way == ["up"] else "up"
        found.append(Problem(f"{missing}.mean_ms", f"missing beside {one_way[0]}.mean_ms; give both or neither"))
    return tuple(found)


def _spread(place: str, rtt_ms: RttStats) -> Iterator[Problem]:
    rising = [(key, getattr(rtt_ms, key)) for key in ("min", "p50", "p95", "p99")]
    for (low, below), (high, above) in pairwise(rising):
        if above < below:
            yield Problem(place, f"{high} is {above:g}, below {low} at {below:g}")
    if not rtt_ms.p50_low <= rtt_ms.p50 <= rtt_ms.p50_high:
        yield Problem(place, "p50 is not between p50_low and p50_high")
    if rtt_ms.mean < rtt_ms.min:
        yield Problem(place, f"mean is {rtt_ms.mean:g}, below min at {rtt_ms.min:g}")


def _loss(place: str, loss: LossEstimate | None) -> Iterator[Problem]:
    if loss is None:
        return
    if loss.lost > loss.sent:
        yield Problem(place, f"{loss.lost} lost of {loss.sent} sent")
    if not loss.low <= loss.share <= loss.high:
        yield Problem(place, "share is not between low and high")
