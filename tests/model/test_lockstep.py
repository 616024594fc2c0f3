"""Sessions without jitter against the replay, and the two cases that can be said by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dsd_plan.domain.profile import StepLaw
from dsd_plan.model import predict
from dsd_plan.model.lockstep import lockstep_wait
from dsd_plan.replay.run import replay
from tests.model.systems import Chat, mean, system

MANY = np.array([200.0])


def test_groups_that_fit_do_not_wait_for_each_other() -> None:
    # Away for 25 ms, iterations of 20: the third group would wait 15, but a prefill of 10 ms more merges two (φ = 5).
    found = lockstep_wait(np.array([20.0]), 25.0, MANY, rate=0.0, jump=10.0, jump_square=100.0)
    assert found[0] == pytest.approx(0.0, abs=0.2)


def test_two_groups_take_turns_for_ever() -> None:
    found = lockstep_wait(np.array([20.0]), 12.0, MANY, rate=0.0, jump=10.0, jump_square=100.0)
    assert found[0] == pytest.approx(8.0)


def test_a_session_alone_waits_for_prefills_only() -> None:
    found = lockstep_wait(np.array([20.0]), 25.0, np.zeros(1), rate=0.001, jump=10.0, jump_square=100.0)
    assert found[0] == pytest.approx(0.001 * 30.0**2 / 2.0, rel=0.01)


@pytest.mark.parametrize("rtt_ms", [2.0, 12.0, 46.0, 100.0])
def test_rounds_without_jitter_agree_with_the_replay(rtt_ms: float) -> None:
    law = StepLaw(step_ms=20.0, per_token_ms=0.2, per_prompt_token_ms=0.1)
    chat = Chat(rate_per_s=0.7, rtt_ms=rtt_ms, output=150, per_token=0.75, devices=9000)
    deployed = system(chat, target=law)
    seen = replay(deployed, seed=3, requests=2000, replications=2)
    assert mean(predict(deployed).workloads[0].tpot_ms) == pytest.approx(mean(seen.workloads[0].tpot_ms), rel=0.03)
