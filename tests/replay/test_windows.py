"""Windows that change, and acceptance that remembers: worked by hand, or by exact moments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw
from dsd_plan.domain.acceptance_laws import BetaLaw, MarkovLaw, round_moments
from dsd_plan.domain.deployed import Deployed
from dsd_plan.domain.plan import Policy
from dsd_plan.domain.plan_checks import plan_problems
from dsd_plan.domain.profile import StepLaw
from dsd_plan.errors import PlanError
from dsd_plan.replay.devices import least_saturations, saturations
from dsd_plan.replay.engine import Run, keys_of, users_of
from dsd_plan.replay.inputs import Tables, tables_of
from dsd_plan.replay.load import means
from dsd_plan.replay.run import replay
from tests.replay.builder import closed, poisson, round_trace, system, token_trace
from tests.replay.runs import kernel_run

ALL, NONE = AcceptanceLaw(per_token=1.0), AcceptanceLaw(per_token=0.0)
THRESHOLD = Policy(kind="threshold", largest=6)
PLAIN = StepLaw(step_ms=20.0, per_token_ms=1.0)


def rounds_of(deployed: Deployed, tables: Tables | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Rounds and groups of one request, after its prefill."""
    run = Run(
        tables_of(deployed) if tables is None else tables,
        keys_of(deployed, 0, 0),
        users_of(deployed),
        1,
        keep_rounds=True,
    )
    run.advance()
    _, groups, rounds = run.read()
    return rounds[1:], groups[1:]


@pytest.mark.parametrize("mode", ["distributed", "fused"])
def test_a_window_grows_while_all_is_accepted(mode: str) -> None:
    """2 from the first token; shares of 1 are above .8: 3, 4, 5, 6, and 6 is the largest."""
    deployed = system(closed(1, 0.0, 10, 60), mode=mode, window=2, acceptance=ALL, policy=THRESHOLD)  # type: ignore[arg-type]
    rounds, groups = rounds_of(deployed)
    assert rounds["window"].tolist() == [2, 3, 4, 5, 6, 6, 6, 6, 6, 6]
    assert groups["tokens"][:6].tolist() == [3, 4, 5, 6, 7, 7]


def test_a_window_shrinks_while_nothing_is() -> None:
    deployed = system(closed(1, 0.0, 10, 8), window=4, acceptance=NONE, policy=THRESHOLD)
    assert rounds_of(deployed)[0]["window"].tolist() == [4, 3, 2, 1, 1, 1, 1]


def test_the_share_is_smoothed_from_the_first_round_on() -> None:
    """Bits 1 0 | 1 1 1 | 1 1 1 1 … at weight .5: shares .5, then .75, then .875 > .8."""
    bits = token_trace([[1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1] + [1] * 20])
    deployed = system(
        closed(1, 0.0, 10, 14), window=2, acceptance=bits, policy=Policy(kind="threshold", largest=6, smoothing=0.5)
    )
    assert rounds_of(deployed)[0]["window"].tolist() == [2, 2, 2, 3, 4]


def test_pipelined_windows_follow_a_verdict_later() -> None:
    """The window that is ahead when a verdict comes was begun before it: the policy's word goes for the one after."""
    deployed = system(closed(1, 0.0, 10, 40), mode="pipelined", window=2, acceptance=ALL, policy=THRESHOLD)
    assert rounds_of(deployed)[0]["window"].tolist() == [2, 2, 3, 4, 5, 6, 6, 6]


@pytest.mark.parametrize("mode", ["distributed", "pipelined", "fused"])
def test_without_a_window_the_target_makes_one_token_itself(mode: str) -> None:
    """20 + 1 ms, and 10 + 10 ms of network at the edge; a batch of one; nothing drafted, nothing proposed."""
    deployed = system(closed(1, 0.0, 10, 6), mode=mode, window=3, target=PLAIN, acceptance=ALL)  # type: ignore[arg-type]
    tables = dict(tables_of(deployed))
    tables["streams"] = tables["streams"].copy()
    tables["streams"]["window"] = 0
    rounds, groups = rounds_of(deployed, tables)
    assert rounds["window"].tolist() == [0] * 5
    assert groups["tokens"].tolist() == [1] * 5
    # A fused draft prefills beside the target.
    assert groups["gap_ms"].tolist() == pytest.approx([21.0 if mode == "fused" else 41.0] * 5)


@pytest.mark.parametrize("window", [-1, 5])
def test_a_window_that_there_is_not_ends_the_run(window: int) -> None:
    deployed = system(closed(2, 0.0, 10, 50), window=4)
    tables = dict(tables_of(deployed))
    tables["streams"] = tables["streams"].copy()
    tables["streams"]["window"] = window
    with pytest.raises(
        PlanError, match=rf"assignments\[0\].policy: the policy chose a window of {window}, expected 0–4"
    ):
        rounds_of(deployed, tables)


def test_a_policy_may_save_a_plan_from_overload() -> None:
    """At γ = 12 verification alone is too much; a plan that may choose smaller windows is replayed."""
    asked = {"window": 12, "target": PLAIN, "cap": 8, "acceptance": AcceptanceLaw(per_token=0.2), "devices": 60}
    fixed = system(poisson(3.0, 10, 40), **asked)  # type: ignore[arg-type]
    free = system(poisson(3.0, 10, 40), policy=Policy(kind="threshold"), **asked)  # type: ignore[arg-type]
    assert saturations(free, [3.0]) == saturations(fixed, [3.0])
    assert least_saturations(free, [3.0])["gpu"] < 1.0 < saturations(fixed, [3.0])["gpu"]
    assert least_saturations(fixed, [3.0]) == saturations(fixed, [3.0])
    assert not replay(fixed, requests=300, replications=1).steady
    assert replay(free, requests=300, replications=1).steady


def test_recorded_rounds_are_played_as_they_are() -> None:
    """Three requests of rounds at γ = 3: a request walks one from its start, then the next, and round."""
    trace = round_trace([3, 3, 3, 3, 3, 3], [3, 0, 1, 2, 2, 3], [0, 0, 0, 1, 1, 2])
    deployed = system(closed(1, 0.0, 10, 40), window=3, acceptance=trace)
    walked = rounds_of(deployed)[0]["accepted"].tolist()
    start = [trace.accepted.tolist()[at:] + trace.accepted.tolist()[:at] for at in (0, 3, 5)]
    assert walked[:12] in [(ring * 2)[:12] for ring in start]


def test_rounds_of_other_windows_are_drawn_by_position() -> None:
    """Every other recorded round proposed 2, of which s = (.5, .5); the rounds of 4 always keep 3."""
    trace = round_trace([4, 2, 4, 2], [3, 2, 3, 0])
    deployed = system(closed(1, 0.0, 10, 4000), window=4, acceptance=trace)
    accepted = rounds_of(deployed)[0]["accepted"]
    as_recorded, drawn = accepted[::2], accepted[1::2]
    if not (as_recorded == 3).all():
        as_recorded, drawn = drawn, as_recorded
    assert (as_recorded[:-1] == 3).all()
    # s_1 = s_2 = 3/4 over all four, s_3 = 1 of those that got so far, cut to what s_2 allows, s_4 = 0.
    assert set(np.unique(drawn)) <= {0, 3}
    assert (drawn == 3).mean() == pytest.approx(0.75, abs=0.06)
    notes = replay(deployed, requests=10, replications=1).notes
    assert any("50% of the recorded rounds proposed 4 tokens" in note for note in notes)


DEPENDENT = (
    BetaLaw(a=3.0, b=1.5, largest_window=6, measured_window=6),
    MarkovLaw(
        states=((0.95, 0.9, 0.85, 0.8), (0.2, 0.05, 0.0, 0.0)),
        transition=((0.9, 0.1), (0.2, 0.8)),
        start=(0.3, 0.7),
        largest_window=4,
        measured_window=4,
    ),
)


@pytest.mark.parametrize("law", DEPENDENT)
def test_rounds_that_depend_have_the_moments_of_their_law(law: BetaLaw | MarkovLaw) -> None:
    """E[K] and E[K²] of the rounds of a request, by backward equations over the states."""
    deployed = system(closed(40, 0.0, 10, 61), mode="fused", window=3, acceptance=law)
    sessions = kernel_run(deployed, most=4000).tables["sessions"]
    rounds = sessions["rounds"].astype(float)
    first, second, third = round_moments(law, 3, 60).rounds[:, 60]
    deviation = (second - first**2) ** 0.5
    assert rounds.mean() == pytest.approx(first, abs=4 * deviation / rounds.size**0.5)
    assert rounds.std() == pytest.approx(deviation, rel=0.08)
    assert means(deployed.streams[0]).rounds == pytest.approx(first)
    assert third > 0


def test_a_rate_lasts_a_request_and_a_state_over_rounds() -> None:
    """Correlation of accepted counts between neighbouring rounds: none of a law, much of these."""

    def correlation(acceptance: AcceptanceLaw | BetaLaw | MarkovLaw) -> float:
        deployed = system(closed(30, 0.0, 10, 60), mode="fused", window=3, acceptance=acceptance)
        run = Run(tables_of(deployed), keys_of(deployed, 0, 0), users_of(deployed), 600, keep_rounds=True)
        run.advance()
        rounds = run.read()[2]
        rounds = np.sort(rounds[rounds["round"] > 0], order=["session", "round"])
        same = rounds["session"][1:] == rounds["session"][:-1]
        return float(np.corrcoef(rounds["accepted"][1:][same], rounds["accepted"][:-1][same])[0, 1])

    assert abs(correlation(AcceptanceLaw(per_token=0.7))) < 0.03
    assert correlation(DEPENDENT[0]) > 0.1
    assert correlation(DEPENDENT[1]) > 0.4


@pytest.mark.parametrize(
    ("policy", "place"),
    [
        (Policy(smallest=2), "policy.smallest"),
        (Policy(kind="threshold", smallest=3), "policy"),
        (Policy(kind="threshold", largest=1), "policy"),
        (Policy(kind="threshold", smallest=3, largest=2), "policy.largest"),
        (Policy(kind="threshold", grow_above=0.3), "policy.shrink_below"),
    ],
)
def test_a_policy_that_contradicts_itself_is_found(policy: Policy, place: str) -> None:
    plan = system(poisson(1.0), window=2).plan
    (assignment,) = plan.assignments
    problems = plan_problems(replace(plan, assignments=(replace(assignment, policy=policy),)))
    assert f"assignments[0].{place}" in [problem.place for problem in problems]


def test_a_policy_stays_within_what_acceptance_tells() -> None:
    trace = round_trace([5, 5], [5, 1])
    assert system(poisson(1.0), acceptance=trace, policy=Policy(kind="threshold")).streams[0].largest_window == 5
    with pytest.raises(PlanError, match="windows up to 5, found 6"):
        system(poisson(1.0), acceptance=trace, policy=THRESHOLD)


def test_optimistic_paths_are_told() -> None:
    notes = replay(system(closed(1, 0.0, 10, 20), candidates=3), requests=20, replications=1).notes
    assert any("3 candidate paths are accepted as if they were independent" in note for note in notes)
