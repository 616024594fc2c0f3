"""Jobs of like size together: orders worked by hand, when it helps and when it does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsd_plan.domain.deployed import Deployed, deploy
from dsd_plan.domain.fleet import Link
from dsd_plan.domain.profile import StepLaw
from dsd_plan.domain.scenario import Mode
from dsd_plan.errors import PlanError
from dsd_plan.replay.like_sizes import alike
from dsd_plan.replay.load import full_iteration_ms, target_saturation
from dsd_plan.replay.run import replay
from tests.replay.builder import closed, poisson, recorded, system
from tests.replay.runs import kernel_run
from tests.replay.test_twin import assert_identical

STEP = StepLaw(step_ms=10.0, per_prompt_token_ms=0.1)


def first_ms(deployed: Deployed, most: int) -> list[float]:
    """When first tokens come, the first stream's before the second's: 10 ms up, the target's time, 10 ms down."""
    assert_identical(deployed, 0, 0, most)
    sessions = kernel_run(deployed, 0, 0, most).tables["sessions"]
    found: list[float] = sessions["first_ms"][np.argsort(sessions["stream"], kind="stable")].tolist()
    return found


@pytest.mark.parametrize(
    ("a", "b", "expected"), [(1, 16, True), (1, 17, False), (9, 17, True), (100, 200, True), (100, 201, False)]
)
def test_what_is_alike(a: int, b: int, expected: bool) -> None:
    assert alike(a, b) is alike(b, a) is expected


def test_a_long_prefill_goes_apart() -> None:
    """5, 1000 and 8 tokens: together 10 + 101.3 ms; apart 10 + 1.3 for the short ones, then 10 + 100."""
    asked = {"short": recorded([0.0, 0.0], [5, 8], [1, 1]), "long": recorded([0.0], [1000], [1])}
    together = system(asked, mode="target_only", target=STEP)
    assert first_ms(together, 3) == pytest.approx([131.3, 131.3, 131.3])
    apart = system(asked, mode="target_only", target=STEP, batching="length_aware")
    assert first_ms(apart, 3) == pytest.approx([31.3, 31.3, 141.3])


def test_the_oldest_is_always_taken() -> None:
    """Two at a time of 5 tokens each, four before and four behind a long one in the queue: it is served third."""
    asked = {"short": recorded([0.0] * 4 + [0.001] * 4, [5] * 8, [1] * 8), "long": recorded([0.0005], [1000], [1])}
    deployed = system(asked, mode="target_only", target=STEP, cap=2, batching="length_aware")
    # 11 ms an iteration of two: from 10, from 21; the long one from 32 on; the others after 142.
    expected = [31.0, 31.0, 42.0, 42.0, 163.0, 163.0, 174.0, 174.0, 152.0]
    assert first_ms(deployed, 9) == pytest.approx(expected)


def mixed(mode: Mode, batching: str, prompt: int = 4000, rtt_ms: float = 100.0) -> float:
    """Mean time per token of ten who chat, beside prompts that are read once a second."""
    deployed = system(
        {"chat": closed(10, 1.0, 16, 60), "documents": poisson(1.0, prompt, 1)},
        mode={"chat": mode, "documents": "target_only"},
        link=Link(between=("edge", "region"), rtt_ms=rtt_ms, jitter_cv=0.2),
        target=StepLaw(step_ms=10.0, per_token_ms=0.1, per_prompt_token_ms=0.05),
        devices=10,
        draft_routing="jsq",
        batching=batching,  # type: ignore[arg-type]
    )
    found = replay(deployed, requests=3000, replications=2).workload("chat").tpot_ms.mean
    assert found is not None
    return found


def test_it_helps_where_verifies_come_and_go() -> None:
    """Prefills of 210 ms: a verify that waits beside one is served before it; most come while one is served, though."""
    assert mixed("distributed", "length_aware") < 0.99 * mixed("distributed", "fifo")


def test_it_does_not_help_where_tokens_are_streamed() -> None:
    """All who decode are back when the long one's turn comes: they wait for it, and for its constant time too."""
    assert mixed("target_only", "length_aware") > mixed("target_only", "fifo")


def test_it_does_not_help_where_prompts_are_short() -> None:
    assert mixed("distributed", "length_aware", prompt=60) > 0.999 * mixed("distributed", "fifo", prompt=60)


def test_load_is_that_of_full_batches_of_like_size() -> None:
    """Prefills and rounds in batches of their own; with an affine step that is the load of mixed ones."""
    asked = {"chat": poisson(2.0, 1000, 40)}
    apart, together = (system(asked, cap=8, batching=kind) for kind in ("length_aware", "fifo"))
    assert target_saturation(apart, 0, [2.0]) == pytest.approx(target_saturation(together, 0, [2.0]))
    knotted = StepLaw(step_ms=10.0, knots=((1.0, 10.0), (64.0, 12.0), (8000.0, 900.0)))
    bent = system(asked, cap=8, target=knotted, batching="length_aware")
    prefills = full_iteration_ms(bent.targets[0], {0: 8.0}, {0: 0.0}, bent.streams)
    verifies = full_iteration_ms(bent.targets[0], {0: 0.0}, {0: 8.0}, bent.streams)
    jobs = (
        target_saturation(together, 0, [2.0])
        * 8000.0
        / full_iteration_ms(
            together.targets[0], {0: 8.0 / _jobs(together)}, {0: 8.0 - 8.0 / _jobs(together)}, together.streams
        )
    )
    rounds = jobs - 2.0
    assert target_saturation(bent, 0, [2.0]) == pytest.approx((2.0 * prefills + rounds * verifies) / 8000.0)


def _jobs(deployed: Deployed) -> float:
    """Jobs a request."""
    from dsd_plan.replay.load import means

    return 1.0 + means(deployed.streams[0]).rounds


@pytest.mark.parametrize(
    ("engine", "says"), [({"max_sequences": 4}, "engine-like target"), ({"token_cap": 64}, "cuts long prefills")]
)
def test_where_it_is_not_played(engine: dict[str, int | bool], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        replay(system(poisson(1.0), engine=engine, batching="length_aware"))


def test_drafts_have_no_like_sizes() -> None:
    deployed = system(poisson(1.0))
    drafts = tuple(replace(d, batching="length_aware") if d.model == "draft" else d for d in deployed.plan.deployments)
    with pytest.raises(PlanError, match="where a draft runs"):
        replay(deploy(deployed.scenario, replace(deployed.plan, deployments=drafts)))
