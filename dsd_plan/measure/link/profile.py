"""A connection, measured from one end against a listener at the other."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from dsd_plan import __version__
from dsd_plan.domain.fleet import RttTrace
from dsd_plan.domain.link_profile import LinkProfile, LossEstimate, OneWay, PayloadRtt, Transport
from dsd_plan.errors import MeasurementError
from dsd_plan.measure.link.client import LinkConnection
from dsd_plan.measure.link.probe import (
    PROBES_PER_S,
    WINDOWS,
    Probes,
    Progress,
    large_probes,
    small_probes,
)
from dsd_plan.measure.link.protocol import DEFAULT_PORT, LARGEST_PAYLOAD_BYTES, LONGEST_BULK_S, REQUEST_BYTES, Refusal
from dsd_plan.measure.link.statistics import (
    jitter_law,
    loss_estimate,
    one_ways,
    over_time,
    rtt_stats,
    steady_mbps,
)
from dsd_plan.measure.link.stream import LostConnectionError

FEWEST_ROUND_TRIPS = 20
"""Below this there is nothing to tell of a distribution."""
FEWEST_UNANSWERED = 20
"""So many datagrams without a single answer, and udp does not get through."""

LARGE_BYTES = (5 * 32_000 * 2, 5 * 128_000 * 2)
"""Full distributions of a window of 5 at two bytes an entry, over vocabularies of 32,000 and 128,000."""
LARGE_REPETITIONS = 10
LARGE_TIME_SHARE = 0.3


Method = dict[str, str | float | int | bool | None]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that was observed of a link; `link_profile` makes numbers of it."""

    small: Probes
    large: Probes | None = None
    datagrams: tuple[int, int] | None = None
    """(Echo requests that the listener got over udp, answers that it sent); None where it could not say."""
    upload: tuple[tuple[int, int], ...] = ()
    download: tuple[tuple[int, int], ...] = ()
    wall_difference_ns: int | None = None
    """With synchronised clocks: (listener's wall − monotonic) − (own wall − monotonic)."""
    ended_early: str | None = None
    method: Method = field(default_factory=dict)


def profile_link(
    host: str,
    port: int = DEFAULT_PORT,
    *,
    for_s: float = 30.0,
    bulk_s: float = 4.0,
    large_bytes: Sequence[int] = LARGE_BYTES,
    clocks_synchronised: bool = False,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> tuple[LinkProfile, RttTrace]:
    """Measure the connection to a listener: its profile, and every round trip over time.

    `for_s` seconds of small probes, then large ones for a third of that at most, then `bulk_s` seconds of bulk each
    way (0: none). A connection that is lost on the way leaves what was measured until then, if that is something.
    Raises MeasurementError.
    """
    _refuse(for_s, bulk_s, large_bytes)
    rng = np.random.default_rng(seed)
    with LinkConnection(host, port) as connection:
        measured_at = datetime.now(UTC).isoformat(timespec="seconds")
        evidence = Evidence(small_probes(connection, connection.token, for_s, rng, on_progress))
        if clocks_synchronised:
            evidence = replace(evidence, wall_difference_ns=connection.wall_difference_ns())
        evidence = _rest(connection, evidence, for_s, bulk_s, large_bytes, rng, on_progress)
    method: Method = {
        "for_s": for_s,
        "bulk_s": bulk_s,
        "probes_per_s": PROBES_PER_S,
        "windows": ", ".join(str(window) for window in WINDOWS),
        "framing_bytes": REQUEST_BYTES,
        "clocks_synchronised": clocks_synchronised,
        "seed": seed,
    }
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return link_profile(replace(evidence, method=method), where, measured_at)


def _refuse(for_s: float, bulk_s: float, large_bytes: Sequence[int]) -> None:
    if not 1.0 <= for_s <= 3600.0:
        raise MeasurementError(f"found {for_s:g} s of probes, expected 1 to 3,600")
    if not 0.0 <= bulk_s <= LONGEST_BULK_S:
        raise MeasurementError(f"found {bulk_s:g} s of bulk, expected 0 to {LONGEST_BULK_S:g}")
    for size in large_bytes:
        if not 1 <= size <= LARGEST_PAYLOAD_BYTES:
            raise MeasurementError(f"found a payload of {size} bytes, expected 1 to {LARGEST_PAYLOAD_BYTES:,}")


def _rest(
    connection: LinkConnection,
    evidence: Evidence,
    for_s: float,
    bulk_s: float,
    large_bytes: Sequence[int],
    rng: np.random.Generator,
    on_progress: Progress | None,
) -> Evidence:
    """What comes after the small probes, as far as the connection lasts."""

    def tell(text: str) -> None:
        if on_progress is not None:
            on_progress(int(for_s * 10), max(int(for_s * 10), 1), text)

    if evidence.small.ended_early is not None:
        return replace(evidence, ended_early=evidence.small.ended_early)
    try:
        evidence = replace(evidence, datagrams=connection.counts())
        if large_bytes:
            tell("large messages")
            share_s = LARGE_TIME_SHARE * for_s
            large = large_probes(connection, connection.token, large_bytes, LARGE_REPETITIONS, share_s, rng)
            evidence = replace(evidence, large=large)
            if large.ended_early is not None:
                return replace(evidence, ended_early=large.ended_early)
        if bulk_s > 0:
            tell("bandwidth down")
            evidence = replace(evidence, download=tuple(connection.download(bulk_s)))
            tell("bandwidth up")
            evidence = replace(evidence, upload=tuple(connection.upload(bulk_s)))
    except LostConnectionError as lost:
        return replace(evidence, ended_early=str(lost))
    except Refusal:
        return replace(evidence, ended_early="the listener answered with something else than the protocol")
    return evidence


def link_profile(evidence: Evidence, listener: str, measured_at: str) -> tuple[LinkProfile, RttTrace]:
    """What the evidence comes to; what it does not tell is None. Raises MeasurementError where there is too little."""
    small = evidence.small
    udp_works = len(small.rows("udp")) > 0
    udp_blocked = not udp_works and small.sent["udp"] >= FEWEST_UNANSWERED
    transport: Transport = "udp" if udp_works else "tcp"
    rows = small.rows(transport)
    if len(rows) < FEWEST_ROUND_TRIPS:
        why = evidence.ended_early or "measure for longer"
        raise MeasurementError(
            f"{listener}: {len(rows)} round trips came back, expected {FEWEST_ROUND_TRIPS} or more; {why}"
        )
    sent_ns, received_ns, answered_ns, back_ns = rows.T
    at_s = (sent_ns - small.started_ns) * 1e-9
    rtt_ms = ((back_ns - sent_ns) - (answered_ns - received_ns)) * 1e-6
    rtt_ms = np.maximum(rtt_ms, 0.0)
    stats = rtt_stats(rtt_ms)
    jitter_cv, jitter_fit = jitter_law(rtt_ms)
    # Floats of today's nanoseconds would lose microseconds: differences are taken in whole numbers first.
    base_ns = int(received_ns[0] - sent_ns[0])
    up, down, up_share, drift_ppm = one_ways(
        at_s, (received_ns - sent_ns - base_ns) * 1e-6, (back_ns - answered_ns + base_ns) * 1e-6
    )
    if evidence.wall_difference_ns is not None:
        up, down = _absolute(up, down, rows, evidence.wall_difference_ns)
    loss_up, loss_down = _losses(evidence) if udp_works else (None, None)
    method: Method = {
        **evidence.method,
        "udp": "works" if udp_works else "blocked" if udp_blocked else "too few probes to tell",
        "ended_early": evidence.ended_early,
    }
    profile = LinkProfile(
        listener=listener,
        measured_at=measured_at,
        software={
            "dsd-plan": __version__,
            "python": platform.python_version(),
            "os": f"{platform.system()} {platform.release()}",
        },
        method=method,
        transport=transport,
        samples=len(rows),
        rtt_ms=stats,
        by_payload=_by_payload(evidence),
        up=up,
        down=down,
        up_share=up_share,
        clock_drift_ppm=drift_ppm,
        jitter_cv=jitter_cv,
        jitter_fit=jitter_fit,
        uplink_mbps=_rate(evidence.upload),
        downlink_mbps=_rate(evidence.download),
        loss=_pooled(loss_up, loss_down),
        loss_up=loss_up,
        loss_down=loss_down,
        over_time=over_time(at_s, rtt_ms, float(evidence.method.get("for_s") or 0.0)),
    )
    times, first = np.unique(at_s, return_index=True)
    return profile, RttTrace(at_s=tuple((times - times[0]).tolist()), rtt_ms=tuple(rtt_ms[first].tolist()))


def _absolute(
    up: OneWay, down: OneWay, rows: np.ndarray[tuple[int, int], np.dtype[np.int64]], wall_difference_ns: int
) -> tuple[OneWay, OneWay]:
    """With the mean delays, from clocks that are said to be synchronised."""
    sent_ns, received_ns, answered_ns, back_ns = rows.T
    up_ms = float((received_ns - sent_ns + wall_difference_ns).mean()) * 1e-6
    down_ms = float((back_ns - answered_ns - wall_difference_ns).mean()) * 1e-6
    if min(up_ms, down_ms) <= 0:
        raise MeasurementError(
            f"the clocks are not synchronised: messages would take {up_ms:.3g} ms up and {down_ms:.3g} ms down; "
            "synchronise them (chrony, PTP), or measure without --clocks-synchronised"
        )
    return replace(up, mean_ms=up_ms), replace(down, mean_ms=down_ms)


def _losses(evidence: Evidence) -> tuple[LossEstimate | None, LossEstimate | None]:
    if evidence.datagrams is None:
        return None, None
    received, answered = evidence.datagrams
    came_back = len(evidence.small.rows("udp"))
    return loss_estimate(evidence.small.sent["udp"], received), loss_estimate(answered, came_back)


def _pooled(up: LossEstimate | None, down: LossEstimate | None) -> float | None:
    if up is None or down is None:
        return None
    return (up.lost + down.lost) / (up.sent + down.sent)


def _by_payload(evidence: Evidence) -> tuple[PayloadRtt, ...]:
    answered = [*evidence.small.answered, *(evidence.large.answered if evidence.large is not None else ())]
    groups = sorted({(probe.transport, probe.up_bytes, probe.down_bytes) for probe in answered})
    found = []
    for transport, up_bytes, down_bytes in groups:
        rtt_ms = np.array(
            [
                ((p.back_ns - p.sent_ns) - (p.answered_ns - p.received_ns)) * 1e-6
                for p in sorted(answered, key=lambda p: p.sent_ns)
                if (p.transport, p.up_bytes, p.down_bytes) == (transport, up_bytes, down_bytes)
            ]
        )
        found.append(
            PayloadRtt(
                transport=transport,
                up_bytes=up_bytes,
                down_bytes=down_bytes,
                samples=rtt_ms.size,
                rtt_ms=rtt_stats(np.maximum(rtt_ms, 0.0)),
            )
        )
    return tuple(found)


def _rate(bins: tuple[tuple[int, int], ...]) -> float | None:
    if len(bins) < 2:
        return None
    start_ns = bins[0][0]
    at_s = np.array([(at_ns - start_ns) * 1e-9 for at_ns, _ in bins])
    return steady_mbps(at_s, np.array([float(total) for _, total in bins]))
