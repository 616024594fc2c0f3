"""What a stream speculates with, and what it sends: of an assignment in its scenario."""

from __future__ import annotations

from typing import NamedTuple

from dsd_plan.domain.acceptance import Acceptance, accepted_pmf, for_task
from dsd_plan.domain.candidate_paths import with_candidates
from dsd_plan.domain.plan import Assignment
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.window_range import check_guess
from dsd_plan.domain.wire import TOKEN_ID_BYTES, round_bytes
from dsd_plan.domain.workload import RequestTrace, Workload

AT_THE_EDGE = ("distributed", "pipelined")
"""Modes in which the draft runs at the users' site, and each round crosses the network."""


class Messages(NamedTuple):
    """Payload bytes of each kind of message a stream sends."""

    prompt_up: float
    first_down: float
    round_up: float
    round_down: float
    """Mean over rounds; a verdict's bytes may depend on whether a proposal was rejected."""
    accepted_down: float
    rejected_down: float


class MisfitError(Exception):
    """A part of a plan that does not fit its scenario: the assignment's key, and why."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key
        self.text = text


def needed(value: str | None, key: str) -> str:
    """The value of a key that has to be there. Raises MisfitError."""
    if value is None:
        raise MisfitError(key, "is needed unless mode is target_only")
    return value


def speculation(scenario: Scenario, assignment: Assignment, workload: Workload) -> tuple[int, Acceptance]:
    """Window and acceptance of a stream that speculates. Raises MisfitError."""
    if assignment.window is None:
        raise MisfitError("window", f"is needed in mode {assignment.mode!r}")
    draft = needed(assignment.draft_model, "draft_model")
    try:
        pair = scenario.pair(draft, workload.target)
    except KeyError:
        raise MisfitError("draft_model", f"the scenario has no pair {draft!r} + {workload.target!r}") from None
    if pair.kind != "model" and assignment.mode in AT_THE_EDGE:
        raise MisfitError(
            "mode", f"{draft!r} is of kind {pair.kind!r}, which lives on the target: use fused, not {assignment.mode}"
        )
    try:
        acceptance = for_task(pair.acceptance, workload.task)
        acceptance = with_candidates(acceptance, assignment.candidates)
        accepted_pmf(acceptance, assignment.window)
        if assignment.mode == "pipelined":
            check_guess(acceptance, assignment.window)
    except KeyError as error:
        raise MisfitError("workload", str(error.args[0])) from None
    except ValueError as error:
        raise MisfitError("window", str(error)) from None
    return assignment.window, acceptance


def messages_of(
    scenario: Scenario, assignment: Assignment, workload: Workload, acceptance: Acceptance | None
) -> Messages:
    """`acceptance` where proposals and verdicts travel."""
    requests = workload.requests
    prompt = float(requests.prompt_tokens.mean()) if isinstance(requests, RequestTrace) else requests.prompt_tokens
    prompt_up = TOKEN_ID_BYTES * prompt
    if acceptance is None:  # a stream carries one token
        return Messages(prompt_up, TOKEN_ID_BYTES, 0.0, TOKEN_ID_BYTES, TOKEN_ID_BYTES, TOKEN_ID_BYTES)
    window = assignment.window or 0
    try:
        sent = round_bytes(scenario, scenario.pair(assignment.draft_model or "", workload.target), window)
    except ValueError as error:
        raise MisfitError("draft_model", f"{error}; give `vocabulary` in [[models]] of {workload.target!r}") from None
    full = float(accepted_pmf(acceptance, window)[window])
    down = full * sent.accepted_down + (1.0 - full) * sent.rejected_down
    round_up = assignment.candidates * sent.up
    return Messages(prompt_up, TOKEN_ID_BYTES, round_up, down, sent.accepted_down, sent.rejected_down)
