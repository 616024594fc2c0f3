"""What a plan asks of its devices, before anything is replayed: rounds, one unloaded request, saturation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from math import ceil, inf, isfinite
from typing import NamedTuple

import numpy as np

from dsd_plan.domain.acceptance import Acceptance, accepted_pmf
from dsd_plan.domain.acceptance_laws import BetaLaw, MarkovLaw, round_moments
from dsd_plan.domain.deployed import Deployed, DraftPool, Stream, TargetPool
from dsd_plan.domain.faults import Detour, detours
from dsd_plan.domain.identity import Same
from dsd_plan.domain.network import Hop, mean_delay_ms
from dsd_plan.domain.step_time import decode_ms, engine_step_ms, iteration_ms, mixed_kv_ms, prefill_ms
from dsd_plan.domain.workload import ClosedRequests, RequestTrace
from dsd_plan.replay.conversations import conversations, least_prefill
from dsd_plan.replay.layout import MS_PER_S


class Means(NamedTuple):
    """A stream's mean request."""

    prefill: float
    """Tokens of a prompt that are not in the cache already."""
    output: float
    context: float
    """KV tokens under a decode job, halfway through the output."""
    rounds: float
    """Decode or verify jobs a request."""


def means(stream: Stream) -> Means:
    """Mean lengths and number of rounds of the stream's requests."""
    requests = stream.requests
    if not isinstance(requests, RequestTrace):
        one = _expected_rounds(stream, requests.output_tokens)[requests.output_tokens - 1]
        output = float(requests.output_tokens)
        return Means(float(requests.prefill_tokens), output, requests.prompt_tokens + output / 2, float(one))
    prompt = float(np.mean(requests.prompt_tokens))
    prefill = float(np.mean(requests.prefill_tokens))
    lengths, counts = np.unique(requests.output_tokens, return_counts=True)
    output = float(np.average(lengths, weights=counts))
    rounds = float(np.average(_expected_rounds(stream, int(lengths[-1]))[lengths - 1], weights=counts))
    return Means(prefill, output, prompt + output / 2, rounds)


def _expected_rounds(stream: Stream, most: int) -> np.ndarray:
    """Mean rounds to emit 0 … most − 1 tokens."""
    if stream.acceptance is None:
        return np.arange(most, dtype=np.float64)
    # Many streams share a pair and differ in length: the same rounds, further or less far.
    return _rounds_to_emit(Same(stream.acceptance), stream.window, 1 << (most - 1).bit_length())[:most]


@lru_cache(maxsize=512)
def _rounds_to_emit(drafts: Same[Acceptance], window: int, most: int) -> np.ndarray:
    """m(n) = 1 + Σ_j P(X = j) m(n − j − 1), m(≤ 0) = 0."""
    acceptance = drafts.thing
    if isinstance(acceptance, BetaLaw | MarkovLaw):
        told: np.ndarray = round_moments(acceptance, window, most - 1).rounds[0]
        return told
    pmf = accepted_pmf(acceptance, window)
    rounds = np.zeros(most)
    for n in range(1, most):
        reached = rounds[max(n - pmf.size, 0) : n][::-1]
        rounds[n] = 1.0 + float(np.dot(pmf[: reached.size], reached))
    return rounds


def at_window(deployed: Deployed, window: int) -> Deployed:
    """The plan with this window, or the nearest that it allows, wherever a policy chooses."""

    def chosen(stream: Stream) -> Stream:
        if not stream.adapts:
            return stream
        return replace(stream, window=min(max(window, stream.assignment.policy.smallest), stream.largest_window))

    return replace(deployed, streams=tuple(map(chosen, deployed.streams)))


def open_rate_per_s(stream: Stream) -> float | None:
    """Requests a second that come whatever happens; None of closed users, who wait for their answers."""
    if isinstance(stream.requests, ClosedRequests):
        return None
    return stream.requests.rate_per_s


def unloaded_ms(deployed: Deployed, stream: Stream) -> float:
    """About how long one request takes on an idle system: where closed users are staggered over."""
    pool = deployed.targets[stream.target]
    mean = means(stream)
    first = stream.messages
    total = mean_delay_ms(stream.up, first.prompt_up) + mean_delay_ms(stream.down, first.first_down)
    total += _alone_ms(pool, stream, prefills=1.0)
    round_ms = _alone_ms(pool, stream, prefills=0.0)
    if stream.draft is not None:
        draft = deployed.drafts[stream.draft]
        round_ms += mean_delay_ms(stream.up, first.round_up) + mean_delay_ms(stream.down, first.round_down)
        step_ms = decode_ms(draft.surface, float(_paths_at_once(stream)), 1.0, mean.context)
        hit = right_guesses(stream)
        ahead_ms = (stream.window + 1) * step_ms
        round_ms = (1.0 - hit) * (stream.window * step_ms + round_ms) + hit * max(ahead_ms, round_ms)
    return total + mean.rounds * round_ms


def _paths_at_once(stream: Stream) -> int:
    """Candidate paths that one device of a session drafts together, at most."""
    return -(-stream.assignment.candidates // stream.assignment.draft_devices_per_session)


def right_guesses(stream: Stream) -> float:
    """Share of rounds whose successor was rightly drafted ahead: s_{γ+1}; 0 where nothing is."""
    if stream.mode != "pipelined" or stream.acceptance is None:
        return 0.0
    return float(accepted_pmf(stream.acceptance, stream.window + 1)[-1])


def _alone_ms(pool: TargetPool, stream: Stream, prefills: float) -> float:
    """One job of the stream, alone on a replica."""
    step_ms = full_iteration_ms(pool, {0: 1.0 if prefills else 0.0}, {0: 0.0 if prefills else 1.0}, [stream])
    if not prefills or pool.token_cap is None:
        return step_ms
    return step_ms + (ceil(means(stream).prefill / pool.token_cap) - 1) * float(pool.surface.law[0])


def full_iteration_ms(
    pool: TargetPool, prefills: Mapping[int, float], decodes: Mapping[int, float], streams: Sequence[Stream]
) -> float:
    """Time of an iteration that holds so many jobs of each stream (fractions allowed: a mean mix)."""
    mean = {i: _computed(pool, streams[i]) for i in {*prefills, *decodes}}
    n_p, n_d = sum(prefills.values()), sum(decodes.values())
    fused = [i for i in decodes if streams[i].mode == "fused"]
    new_tokens = sum(n * (_paths(streams[i]) + 1) for i, n in decodes.items()) / (n_d or 1.0)
    context = sum(n * mean[i].context for i, n in decodes.items()) / (n_d or 1.0)
    prompts = sum(n * mean[i].prefill for i, n in prefills.items())
    if pool.engine is None:
        total = iteration_ms(pool.surface, n_d, new_tokens, context, n_p, prompts / (n_p or 1.0))
    else:
        squares = sum(n * mean[i].prefill ** 2 for i, n in prefills.items())
        total = engine_step_ms(pool.surface, n_d, new_tokens, context, n_p, prompts, squares)
    if 0.0 < n_p < 1.0:
        # Most steps of the mean mix hold no prefill.
        total -= (1.0 - n_p) * mixed_kv_ms(pool.surface, n_d, context)
    if pool.fused_surface is None or not fused:
        return total
    n_f, n_fp = sum(decodes[i] for i in fused), sum(prefills[i] for i in fused)
    drafted = 0.0
    if n_f > 0:
        rows = {i: decodes[i] * streams[i].assignment.candidates for i in fused}
        context = sum(rows[i] * mean[i].context for i in fused) / sum(rows.values())
        steps, there = _drafting({i: (streams[i].window, decodes[i]) for i in fused}, n_d + n_p)
        drafted = steps * decode_ms(pool.fused_surface, max(sum(rows.values()) / there, 1.0), 1.0, context)
    if n_fp > 0:
        added = prefill_ms(pool.fused_surface, n_fp, sum(prefills[i] * mean[i].prefill for i in fused) / n_fp)
        drafted += max(added - float(pool.fused_surface.law[0]), 0.0) if n_f > 0 else added
    return total + drafted


def _computed(pool: TargetPool, stream: Stream) -> Means:
    """Mean lengths as the pool computes them: prompts whole, or where it has a cache of prefixes the least there is."""
    mean = means(stream)
    if pool.engine is None:
        return mean
    numbers = conversations(pool, stream)
    if numbers is not None and isinstance(stream.requests, RequestTrace):
        return mean._replace(prefill=float(np.mean(least_prefill(stream.requests, numbers))))
    if pool.engine.prefix_cache:
        return mean
    return mean._replace(prefill=float(np.mean(stream.requests.prompt_tokens)))


def _paths(stream: Stream) -> int:
    """Proposals that a round's verification holds."""
    return stream.window * stream.assignment.candidates


def _drafting(fused: Mapping[int, tuple[int, float]], jobs: float) -> tuple[float, float]:
    """(draft steps of an iteration, chance of any): the largest window in a batch of `jobs` drawn from the mean mix."""
    steps, there, below = 0.0, 0.0, 0
    for window in sorted({window for window, _ in fused.values()}):
        share = sum(n for other, n in fused.values() if other >= window) / jobs
        chance = 1.0 - (1.0 - share) ** jobs
        steps += (window - below) * chance
        there, below = max(there, chance), window
    return steps, max(there, 1e-12)


class Lanes(NamedTuple):
    """One direction of a thin link: `copies` servers from number `first` of all lanes on."""

    first: int
    copies: int


LanesOf = Mapping[tuple[int, bool], Lanes]
"""By (link, outward)."""


def detours_of(deployed: Deployed, stream: Stream) -> tuple[Detour, ...]:
    """When faults cut the stream's route, and the way that is left."""
    return detours(deployed.scenario, stream.workload.site, deployed.targets[stream.target].device.site)


def hops_of(deployed: Deployed) -> Iterator[Hop]:
    """Every hop that a message may take, usual ways first."""
    for stream in deployed.streams:
        yield from (*stream.up, *stream.down)
    for stream in deployed.streams:
        for detour in detours_of(deployed, stream):
            if detour.ways is not None:
                yield from (*detour.ways[0], *detour.ways[1])


def lanes_of(deployed: Deployed) -> LanesOf:
    """Of every link of limited bandwidth that a stream crosses; one a copy of its busier site."""
    found: dict[tuple[int, bool], Lanes] = {}
    first = 0
    for hop in hops_of(deployed):
        if isfinite(hop.mbps) and (hop.link, hop.outward) not in found:
            sites = (deployed.scenario.site(name) for name in deployed.scenario.links[hop.link].between)
            copies = max(site.count for site in sites)
            found[hop.link, hop.outward] = Lanes(first, copies)
            first += copies
    return found


def link_name(deployed: Deployed, link: int) -> str:
    """A link as results name it."""
    return " – ".join(deployed.scenario.links[link].between)


def link_saturations(deployed: Deployed, rates_per_s: Sequence[float]) -> dict[str, float]:
    """By link of limited bandwidth: offered bits a second over those it can send, in its busier direction."""
    found: dict[str, float] = {}
    lanes = lanes_of(deployed)
    offered_mbps = dict.fromkeys(lanes, 0.0)
    limits_mbps = dict.fromkeys(lanes, inf)
    for stream, rate_per_s in zip(deployed.streams, rates_per_s, strict=True):
        up_bytes, down_bytes = request_bytes(stream)
        for hops, payload in ((stream.up, up_bytes), (stream.down, down_bytes)):
            for hop in hops:
                if isfinite(hop.mbps):
                    offered_mbps[hop.link, hop.outward] += rate_per_s * payload * 8.0 / 1e6
                    limits_mbps[hop.link, hop.outward] = hop.mbps
    for (link, outward), (_, copies) in lanes.items():
        if limits_mbps[link, outward] == inf:
            continue  # of a detour only
        share = offered_mbps[link, outward] / (limits_mbps[link, outward] * copies)
        name = link_name(deployed, link)
        found[name] = max(found.get(name, 0.0), share)
    return found


def request_bytes(stream: Stream) -> tuple[float, float]:
    """Mean payload (up, down) of a whole request."""
    mean, messages = means(stream), stream.messages
    if stream.draft is not None:
        return (
            messages.prompt_up + mean.rounds * messages.round_up,
            messages.first_down + mean.rounds * messages.round_down,
        )
    return messages.prompt_up, messages.first_down + (mean.output - 1.0) * messages.round_down


def target_saturation(deployed: Deployed, pool: int, rates_per_s: Sequence[float]) -> float:
    """Λ·T(B)/B of a replica: offered jobs a second, over those that full batches of the mean mix can serve.

    A batch is full at `batch_cap` jobs, or at `token_cap` new tokens. At an engine-like server also where its sessions,
    those that draft meanwhile among them, are as many as it takes, or fill its KV blocks.
    """
    target = deployed.targets[pool]
    mine = [i for i, stream in enumerate(deployed.streams) if stream.target == pool and rates_per_s[i] > 0]
    if not mine:
        return 0.0
    mean = {i: _computed(target, deployed.streams[i]) for i in mine}
    rounds = {i: mean[i].rounds for i in mine}
    jobs_per_s = sum(rates_per_s[i] * (1.0 + rounds[i]) for i in mine)
    full = float(target.batch_cap)
    if target.token_cap is not None:
        verified = {i: rounds[i] * (_paths(deployed.streams[i]) + 1) for i in mine}
        tokens_per_s = sum(rates_per_s[i] * (mean[i].prefill + verified[i]) for i in mine)
        full = min(full, target.token_cap * jobs_per_s / tokens_per_s)

    def step_ms(jobs: float) -> float:
        share = jobs / jobs_per_s
        prefills = {i: rates_per_s[i] * share for i in mine}
        decodes = {i: rates_per_s[i] * rounds[i] * share for i in mine}
        return full_iteration_ms(target, prefills, decodes, deployed.streams)

    if target.batching == "length_aware":
        jobs = {(i, False): (mean[i].prefill, rates_per_s[i]) for i in mine}
        jobs |= {(i, True): (_paths(deployed.streams[i]) + 1.0, rates_per_s[i] * rounds[i]) for i in mine}
        apart = like_sizes(jobs)
        busy_ms = 0.0
        for group in apart:
            group_per_s = sum(jobs[job][1] for job in group)
            share = full / group_per_s if group_per_s > 0.0 else 0.0
            parts = [{i: share * jobs[i, kind][1] * ((i, kind) in group) for i in mine} for kind in (False, True)]
            busy_ms += group_per_s * full_iteration_ms(target, parts[0], parts[1], deployed.streams) / full
        return busy_ms / target.replicas / MS_PER_S
    if target.engine is not None:
        weights = {i: rates_per_s[i] * rounds[i] / jobs_per_s for i in mine}
        away_ms = sum(share * _away_ms(deployed, deployed.streams[i]) for i, share in weights.items())
        full = _jobs_of(_most_sessions(target, deployed.streams, weights), away_ms, step_ms, full)
    return jobs_per_s / target.replicas * step_ms(full) / MS_PER_S / full


def like_sizes(jobs: Mapping[tuple[int, bool], tuple[float, float]]) -> list[list[tuple[int, bool]]]:
    """Kinds of job, by (new tokens, jobs a second), that a batch of like sizes may hold together."""
    from dsd_plan.replay.like_sizes import alike

    groups: list[list[tuple[int, bool]]] = []
    for job in sorted(jobs, key=lambda job: jobs[job][0]):
        if groups and alike(jobs[groups[-1][0]][0], jobs[job][0]):
            groups[-1].append(job)
        else:
            groups.append([job])
    return groups


def _most_sessions(target: TargetPool, streams: Sequence[Stream], weights: Mapping[int, float]) -> float:
    """Sessions that an engine-like replica holds at once: its cap, or what fills its KV blocks with the mean mix."""
    engine = target.engine
    assert engine is not None
    held = [_held_blocks(streams[i], engine.block_tokens) for i in weights]
    if engine.blocks is None or sum(weights.values()) <= 0.0:
        return float(engine.sequences)
    return min(float(engine.sequences), engine.blocks / float(np.average(held, weights=list(weights.values()))))


def _held_blocks(stream: Stream, block: int) -> float:
    """Blocks that a session holds on average over its rounds: longer answers hold theirs for longer."""
    prompts, outputs = (np.atleast_1d(x) for x in (stream.requests.prompt_tokens, stream.requests.output_tokens))
    tokens = float(np.average(prompts + outputs / 2.0, weights=outputs))
    # The last block is half empty on average.
    return (tokens + _paths(stream)) / block + 0.5 * (1.0 - 1.0 / block)


def _away_ms(deployed: Deployed, stream: Stream) -> float:
    """How long a session's next job takes to come to the target after a round, if nothing is in the way."""
    if stream.draft is None:
        return 0.0
    messages = stream.messages
    step_ms = decode_ms(
        deployed.drafts[stream.draft].surface, float(_paths_at_once(stream)), 1.0, means(stream).context
    )
    ways_ms = mean_delay_ms(stream.up, messages.round_up) + mean_delay_ms(stream.down, messages.round_down)
    return ways_ms + (1.0 - right_guesses(stream)) * stream.window * step_ms


def _jobs_of(sessions: float, away_ms: float, step_ms: Callable[[float], float], most: float) -> float:
    """Jobs a step, `most` at most, of so many sessions that are away after each job: b + b·away/T(b) = sessions."""
    if away_ms <= 0.0:
        return min(sessions, most)
    low, high = 0.0, min(sessions, most)
    for _ in range(50):
        jobs = (low + high) / 2.0
        low, high = (jobs, high) if jobs + jobs * away_ms / step_ms(jobs) < sessions else (low, jobs)
    return high


def draft_saturation(deployed: Deployed, pool: int, rates_per_s: Sequence[float]) -> float:
    """Offered device time a second over the devices there are; in full batches, where they take several jobs.

    Of what is drafted ahead only what turns out right counts: a busy device hardly begins the rest.
    """
    draft: DraftPool = deployed.drafts[pool]
    offered_ms = 0.0
    for stream, rate_per_s in zip(deployed.streams, rates_per_s, strict=True):
        if stream.draft == pool:
            mean = means(stream)
            tied, cap = stream.assignment.draft_devices_per_session, float(draft.batch_cap)
            paths = stream.assignment.candidates / tied
            steps = tied * mean.rounds * (stream.window + right_guesses(stream))
            step_ms = decode_ms(draft.surface, cap * paths, 1.0, mean.context) / cap
            prefills_ms = tied * prefill_ms(draft.surface, cap, mean.prefill) / cap
            offered_ms += rate_per_s * (steps * step_ms + prefills_ms)
    return offered_ms / MS_PER_S / draft.count
