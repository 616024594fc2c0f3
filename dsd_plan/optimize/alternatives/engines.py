"""Can a released engine run this plan, and what does it cost where the context has to be sent again each round?"""

from __future__ import annotations

from dsd_plan.domain.deployed import AT_THE_EDGE, Stream, deploy
from dsd_plan.domain.network import serialisation_ms
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.step_time import decode_ms, prefill_ms
from dsd_plan.domain.study_decision import EngineSupport, Reprompting
from dsd_plan.domain.wire import TOKEN_ID_BYTES
from dsd_plan.domain.workload import RequestTrace

PLAINLY = ("vLLM", "SGLang", "llama.cpp")
WITH_HEADS = ("vLLM", "SGLang")
"""Engines that take EAGLE-like or MTP heads as drafts."""
BLOCK_TOKENS = 16.0
"""Of a prefix cache: a block is kept when it is full, so half a block has to be prefilled again on average."""
WITH_PREFIX_CACHE = ("vLLM", "SGLang")
"""Engines that find a context in their prefix cache and tell the log-probabilities of a prompt's tokens."""


def engine_of(scenario: Scenario, plan: Plan) -> EngineSupport:
    """What is released today, for the mode of the plan that asks for most."""
    modes = {assignment.mode for assignment in plan.assignments}
    if modes & set(AT_THE_EDGE):
        return EngineSupport(
            today="with re-prompting",
            engines=WITH_PREFIX_CACHE,
            sentence="no released engine keeps a session's KV for verification over the network; "
            f"{_listed(WITH_PREFIX_CACHE)} can verify a context that is sent again each round, from their prefix cache",
        )
    kinds = {pair.draft: pair.kind for pair in scenario.pairs}
    drafts = {kinds.get(assignment.draft_model or "") for assignment in plan.assignments}
    engines = WITH_HEADS if "head" in drafts else PLAINLY
    what = "a head on the target" if "head" in drafts else "this"
    return EngineSupport(today="yes", engines=engines, sentence=f"{_listed(engines)} run {what} today")


def reprompting(scenario: Scenario, plan: Plan, predicted: Performance | None) -> tuple[Reprompting, ...]:
    """A row a workload that drafts at the edge; nothing where none does.

    A round's context is the prompt and what was generated before it, on average half the answer; of recorded requests
    the mean is over rounds, of which long answers have more.
    """
    rows = []
    deployed = deploy(scenario, plan)
    for stream in deployed.streams:
        if stream.mode not in AT_THE_EDGE or stream.acceptance is None:
            continue
        context = _context_tokens(stream)
        sent = TOKEN_ID_BYTES * context
        surface = deployed.targets[stream.target].surface
        verified = stream.window * stream.assignment.candidates + 1
        # The proposals are verified either way: what a round takes more is the rest of the prefill.
        own_ms = decode_ms(surface, 1.0, float(verified), context)
        seen = None if predicted is None else predicted.workload(stream.workload.name).round_parts
        rows.append(
            Reprompting(
                workload=stream.workload.name,
                context_tokens=context,
                bytes_per_round=sent,
                uplink_ms_per_round=sum(serialisation_ms(sent, hop.mbps) for hop in stream.up),
                prefill_ms_per_round=max(prefill_ms(surface, 1.0, context + verified) - own_ms, 0.0),
                cached_prefill_ms_per_round=max(
                    prefill_ms(surface, 1.0, verified + BLOCK_TOKENS / 2) - prefill_ms(surface, 1.0, verified), 0.0
                ),
                round_ms=None
                if seen is None
                else seen.draft_ms + seen.uplink_ms + seen.wait_ms + seen.verify_ms + seen.downlink_ms,
            )
        )
    return tuple(rows)


def _context_tokens(stream: Stream) -> float:
    requests = stream.requests
    if isinstance(requests, RequestTrace):
        answers = requests.output_tokens.astype(float)
        return float((answers * (requests.prompt_tokens + answers / 2.0)).sum() / answers.sum())
    return requests.prompt_tokens + requests.output_tokens / 2.0


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
