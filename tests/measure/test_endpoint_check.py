"""The profile against requests of the open run that it was not made from."""

from __future__ import annotations

import pytest

from dsd_plan.domain.profile import LatencyProfile, LawFit, StepLaw
from dsd_plan.measure.endpoint.check import check_under_load
from dsd_plan.measure.endpoint.plan import Answer, Trial, TrialResult

PROFILE = LatencyProfile(device="gpu", model="m", origin="measured", fit=LawFit(law=StepLaw(step_ms=10.0)))


def open_run(*answers: Answer) -> list[TrialResult]:
    trial = Trial(phase="open", concurrency=1, prompt_tokens=10, output_tokens=9, round=0)
    return [TrialResult(trial=trial, answers=answers)]


def answer(first_s: float, gap_s: float) -> Answer:
    arrivals_s = tuple(first_s + token * gap_s for token in range(9))
    return Answer(sent_s=first_s - 0.1, arrivals_s=arrivals_s, prompt_tokens=10, completion_tokens=9)


def test_an_answer_that_came_all_at_once_tells_no_time_between_tokens() -> None:
    paced = [answer(float(second), 0.02) for second in range(1, 9)]
    alone, beside = (
        check_under_load(PROFILE, open_run(*paced)),
        check_under_load(PROFILE, open_run(*paced, answer(20.0, 0.0))),
    )
    assert alone is not None
    assert alone.held_out.mean_error == pytest.approx(0.5)  # 10 ms were told, and 20 seen
    assert beside == alone
