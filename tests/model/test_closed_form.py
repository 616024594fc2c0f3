"""The closed form: cycles worked by hand, limits, and its distance from the finer model over random systems."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsd_plan.model import predict
from dsd_plan.model.closed_form import Systems, predict_many, stacked, systems_of
from tests.model.random_systems import random_system
from tests.model.systems import Chat, system


def lone(**chat: object) -> Systems:
    return systems_of(system(Chat(rate_per_s=1e-6, **chat)))  # type: ignore[arg-type]


def test_a_lone_distributed_session_by_hand() -> None:
    """20 of drafting, 20 of way, 20 + .2 · 5 to verify; the first token 20 of way, 20 + 200 · .05 of prefill."""
    found = predict_many(lone(per_token=1.0, output=101))
    assert found.round[0, 0] == pytest.approx(61.0, rel=1e-3)
    assert found.tpot[0, 0] == pytest.approx(61.0 * 20 / 100, rel=1e-3)
    assert found.ttft[0, 0] == pytest.approx(50.0, rel=1e-3)


def test_a_lone_streamed_session_by_hand() -> None:
    assert predict_many(lone(mode="target_only")).tpot[0, 0] == pytest.approx(20.2, rel=1e-3)
    # Four draft steps of 2 + .01 come first.
    fused = predict_many(lone(mode="fused", per_token=1.0, output=101))
    assert fused.round[0, 0] == pytest.approx(4 * 2.01 + 21.0, rel=1e-3)


def test_far_away_sessions_come_back_at_any_moment() -> None:
    """Ten seconds of way: it waits the residual of whatever iteration is under way, if there is one."""
    near, far = (systems_of(system(Chat(rate_per_s=1.0, rtt_ms=rtt_ms))) for rtt_ms in (200.0, 20_000.0))
    by_near, by_far = predict_many(near).round[0, 0] - 220.0, predict_many(far).round[0, 0] - 20_020.0
    assert by_far == pytest.approx(by_near, rel=0.3)


def test_an_open_system_that_is_offered_too_much_has_no_answer() -> None:
    found = predict_many(systems_of(system(Chat(rate_per_s=500.0))))
    assert found.saturation[0] > 1.0
    assert np.isinf(found.tpot[0, 0])
    assert np.isinf(found.ttft[0, 0])


def test_closed_users_obey_littles_law_and_never_pass_the_device() -> None:
    systems = stacked([systems_of(system(Chat(rate_per_s=None, users=n, think_s=1.0))) for n in (1, 10, 100, 1000)])
    found = predict_many(systems)
    cycle = systems.think + found.ttft + systems.rounds * found.round
    assert found.rate[:3] * cycle[:3] == pytest.approx(systems.users[:3], rel=0.05)
    assert (found.saturation <= 0.995 + 1e-9).all()
    assert (np.diff(found.rate[:, 0]) > 0).all()


def test_more_load_is_hardly_ever_faster() -> None:
    for mode in ("target_only", "distributed"):
        base = systems_of(system(Chat(mode=mode, rate_per_s=1.0, jitter_cv=0.2)))  # type: ignore[arg-type]
        many = stacked([replace(base, rate=base.rate * factor) for factor in np.linspace(0.1, 20.0, 100)])
        found = predict_many(many)
        tpot = found.tpot[found.saturation < 1.0, 0]
        assert tpot.size > 40
        # The moment of return within an iteration moves with its length: small dips are real.
        assert (np.diff(tpot) > -0.02 * tpot[:-1]).all()


def test_padded_classes_change_nothing() -> None:
    one, three = systems_of(system(Chat(rate_per_s=2.0))), systems_of(random_system(4, "mixed", "open"))
    assert predict_many(stacked([one, three])).tpot[0, 0] == predict_many(one).tpot[0, 0]


@pytest.mark.parametrize(
    ("mode", "kind", "tpot", "ttft"),
    [
        ("distributed", "open", 0.025, 0.03),
        ("target_only", "open", 0.02, 0.03),
        ("fused", "open", 0.05, 0.05),
        ("mixed", "open", 0.04, 0.03),
        ("distributed", "closed", 0.025, 0.04),
        ("target_only", "closed", 0.06, 0.06),
    ],
)
def test_it_stays_near_the_finer_model(mode: str, kind: str, tpot: float, ttft: float) -> None:
    """Mean distance over random systems, seeds that were not used while it was made."""
    off_tpot, off_ttft = [], []
    for seed in range(71_000, 71_025):
        deployed = random_system(seed, mode, kind)  # type: ignore[arg-type]
        found = predict_many(systems_of(deployed))
        for k, workload in enumerate(predict(deployed).workloads):
            off_tpot.append(abs(found.tpot[0, k] / workload.tpot_ms.mean - 1.0))
            off_ttft.append(abs(found.ttft[0, k] / workload.ttft_ms.mean - 1.0))
    assert np.mean(off_tpot) < tpot
    assert np.mean(off_ttft) < ttft
