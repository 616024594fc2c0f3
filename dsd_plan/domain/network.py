"""Routes over the link graph, and what a message costs on its way."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from dsd_plan.domain.fleet import Link, RttTrace
from dsd_plan.domain.identity import Same
from dsd_plan.domain.scenario import Scenario

if TYPE_CHECKING:
    import networkx as nx


class Hop(NamedTuple):
    """One link crossed in one direction."""

    mean_ms: float
    jitter_cv: float
    mbps: float
    """Infinite where bandwidth does not limit."""
    loss: float
    rtt_ms: float
    """Mean round trip of this link: what a lost message costs."""
    link: int = 0
    """Index into the scenario's links; `outward`: crossed from its first to its second site."""
    outward: bool = True
    trace: RttTrace | None = None
    """A measured round trip over time: the mean and jitter above are then its mean and spread."""


def route(
    scenario: Scenario, start: str, end: str, without: frozenset[int] = frozenset()
) -> tuple[tuple[Hop, ...], tuple[Hop, ...]] | None:
    """Hops (start → end, end → start) of the shortest-RTT path; None when there is no path.

    `without`: indices of links that cannot be used.
    """
    if start == end:
        return (), ()
    path = route_sites(scenario, start, end, without)
    if path is None:
        return None
    graph = _graph(Same(scenario.links), without)
    pairs = list(pairwise(path))
    up = tuple(_hop(scenario, graph.edges[a, b]["index"], a) for a, b in pairs)
    down = tuple(_hop(scenario, graph.edges[a, b]["index"], b) for a, b in reversed(pairs))
    return up, down


def route_sites(
    scenario: Scenario, start: str, end: str, without: frozenset[int] = frozenset()
) -> tuple[str, ...] | None:
    """Names of the sites that `route` passes, both ends included; None when there is no path."""
    if start == end:
        return (start,)
    # Many sites ask for the way to few: one search from there answers them all.
    path = _ways_from(Same(scenario.links), without, end).get(start)
    return None if path is None else tuple(reversed(path))


@lru_cache(maxsize=32)
def _graph(links: Same[tuple[Link, ...]], without: frozenset[int]) -> nx.Graph:
    import networkx as nx

    graph = nx.Graph()
    for index, link in enumerate(links.thing):
        if index in without:
            continue
        rtt_ms = sum(link.one_way_ms)
        known = graph.get_edge_data(*link.between)
        if known is None or rtt_ms < known["rtt_ms"]:
            graph.add_edge(*link.between, rtt_ms=rtt_ms, index=index)
    return graph


@lru_cache(maxsize=512)
def _ways_from(links: Same[tuple[Link, ...]], without: frozenset[int], end: str) -> dict[str, list[str]]:
    import networkx as nx

    graph = _graph(links, without)
    if end not in graph:
        return {}
    found: dict[str, list[str]] = nx.single_source_dijkstra_path(graph, end, weight="rtt_ms")
    return found


def _hop(scenario: Scenario, index: int, start: str) -> Hop:
    link = scenario.links[index]
    forward, back = link.one_way_ms
    outward = start == link.between[0]
    mbps = link.uplink_mbps if outward else link.downlink_mbps
    return Hop(
        mean_ms=forward if outward else back,
        jitter_cv=link.jitter_cv if link.trace is None else min(link.trace.cv, 1.0),
        mbps=float("inf") if mbps is None else mbps,
        loss=link.loss,
        rtt_ms=forward + back,
        link=index,
        outward=outward,
        trace=link.trace,
    )


def mean_delay_ms(hops: tuple[Hop, ...], payload_bytes: float) -> float:
    """Mean time of one message: propagation, serialisation on every hop, and resending after losses."""
    return sum(
        hop.mean_ms + serialisation_ms(payload_bytes, hop.mbps) + hop.rtt_ms * hop.loss / (1.0 - hop.loss)
        for hop in hops
    )


def delay_variance_ms2(hops: tuple[Hop, ...]) -> float:
    """Variance of one message's time: exponential jitter a hop, geometric number of losses."""
    return sum((hop.jitter_cv * hop.mean_ms) ** 2 + hop.rtt_ms**2 * hop.loss / (1.0 - hop.loss) ** 2 for hop in hops)


def serialisation_ms(payload_bytes: float, mbps: float) -> float:
    """Time to put a payload on the wire."""
    return payload_bytes * 8.0 / (mbps * 1000.0)
