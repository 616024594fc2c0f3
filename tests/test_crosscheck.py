"""Verdicts on hand-worked intervals, and what is compared at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsd_plan.crosscheck import Crosscheck, agreements, tolerance_of, verdict_of
from dsd_plan.domain.performance import (
    DevicePerformance,
    FleetPerformance,
    Interval,
    Performance,
    Quantiles,
    WorkloadPerformance,
)
from dsd_plan.domain.study import Agreement

UNKNOWN = Quantiles()


def performance(
    source: str = "model",
    tpot: Quantiles = UNKNOWN,
    *,
    name: str = "chat",
    ci: dict[str, tuple[float, float] | None] | None = None,
    tokens_per_s: float | None = None,
    energy: float | None = None,
    fleet_energy: float | None = None,
    steady: bool = True,
    saturation: float = 0.5,
) -> Performance:
    workload = WorkloadPerformance(
        name=name,
        requests=None,
        ttft_ms=UNKNOWN,
        tpot_ms=tpot,
        itl_ms=UNKNOWN,
        e2e_ms=UNKNOWN,
        requests_per_s=None,
        tokens_per_s=tokens_per_s,
        goodput_per_s=None,
        slo_attainment=None,
        tokens_per_round=None,
        acceptance_rate=None,
        rounds_per_request=None,
        energy_j_per_token=energy,
        bytes_per_token=None,
        ci=ci,
    )
    return Performance(
        source=source,
        workloads=(workload,),
        devices=(DevicePerformance(name="gpu", saturation=saturation, busy=None, mean_batch=None, power_w=None),),
        fleet=FleetPerformance(
            tokens_per_s=None,
            goodput_per_s=None,
            power_w=None,
            energy_j_per_token=fleet_energy,
            cost_per_hour=0.0,
            cost_per_million_tokens=None,
        ),
        steady=steady,
    )


def only(found: tuple[Agreement, ...]) -> Agreement:
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (98.0, 102.0, "agrees"),  # errors −1.96 % … +2.04 %
        (96.0, 104.0, "agrees"),  # −3.85 % … +4.17 %
        (96.0, 110.0, "undecided"),  # −9.1 % … +4.2 %
        (90.0, 110.0, "undecided"),  # both edges inside the interval
        (106.0, 110.0, "disagrees"),  # −9.1 % … −5.7 %
        (80.0, 94.0, "disagrees"),  # +6.4 % … +25 %
        (95.0, 96.0, "undecided"),  # +4.2 % … +5.3 %
    ],
)
def test_a_prediction_of_100_against_an_interval(low: float, high: float, verdict: str) -> None:
    assert verdict_of(100.0, Interval(point=(low + high) / 2, low=low, high=high), 0.05) == verdict


@given(
    predicted=st.floats(1.0, 1e4),
    point=st.floats(1.0, 1e4),
    half=st.floats(0.0, 0.5),
    tolerance=st.floats(0.001, 0.5),
    scale=st.floats(0.01, 100.0),
)
def test_verdicts_know_no_units_and_widen_to_undecided(
    predicted: float, point: float, half: float, tolerance: float, scale: float
) -> None:
    narrow = Interval(point=point, low=point * (1 - half), high=point * (1 + half))
    scaled = Interval(point=point * scale, low=narrow.low * scale, high=narrow.high * scale)
    edges = (predicted / narrow.low - 1, predicted / narrow.high - 1)
    if min(abs(abs(edge) - tolerance) for edge in edges) > 1e-6:
        assert verdict_of(predicted, narrow, tolerance) == verdict_of(predicted * scale, scaled, tolerance)
    wide = Interval(point=point, low=narrow.low / 1e6, high=narrow.high * 1e6)
    assert verdict_of(predicted, wide, tolerance) == "undecided"


def test_means_and_medians_are_held_to_5_per_cent_and_tails_to_10() -> None:
    assert tolerance_of("tpot_ms.mean") == tolerance_of("ttft_ms.p50") == tolerance_of("tokens_per_s") == 0.05
    assert tolerance_of("tpot_ms.p95") == tolerance_of("e2e_ms.p99") == 0.10


def test_the_relative_error_is_that_of_the_prediction() -> None:
    found = only(
        agreements(
            performance(tpot=Quantiles(mean=33.0)),
            performance("replay", Quantiles(mean=30.0), ci={"tpot_ms.mean": (29.0, 31.0)}),
        )
    )
    assert (found.workload, found.metric) == ("chat", "tpot_ms.mean")
    assert found.relative_error == pytest.approx(0.10)
    assert found.verdict == "disagrees"  # 33/31 − 1 = 6.5 % at best
    assert (found.observed.low, found.observed.high) == (29.0, 31.0)


def test_a_tolerance_given_holds_for_every_metric() -> None:
    pair = (
        performance(tpot=Quantiles(mean=33.0, p95=66.0)),
        performance(
            "replay", Quantiles(mean=30.0, p95=60.0), ci={"tpot_ms.mean": (29.9, 30.1), "tpot_ms.p95": (59.9, 60.1)}
        ),
    )
    assert [a.verdict for a in agreements(*pair)] == ["disagrees", "undecided"]
    assert [a.verdict for a in agreements(*pair, tolerance=0.11)] == ["agrees", "agrees"]
    assert [a.verdict for a in agreements(*pair, tolerance=0.01)] == ["disagrees", "disagrees"]


def test_one_replication_leaves_no_interval_and_decides_nothing() -> None:
    found = only(agreements(performance(tpot=Quantiles(mean=90.0)), performance("replay", Quantiles(mean=30.0))))
    assert found.verdict == "undecided"
    assert found.relative_error == pytest.approx(2.0)


def test_replications_that_all_say_the_same_decide() -> None:
    exact = performance("replay", Quantiles(mean=30.0), ci={"tpot_ms.mean": (30.0, 30.0)})
    assert only(agreements(performance(tpot=Quantiles(mean=30.3)), exact)).verdict == "agrees"
    assert only(agreements(performance(tpot=Quantiles(mean=90.0)), exact)).verdict == "disagrees"


def test_what_either_side_does_not_know_is_not_compared() -> None:
    assert agreements(performance(), performance("replay", Quantiles(mean=30.0))) == ()
    assert agreements(performance(tpot=Quantiles(mean=30.0)), performance("replay", name="other")) == ()


def test_energy_of_the_fleet_varies_as_its_throughput_does() -> None:
    """J a token is power over tokens a second; 90 … 120 of 100 tokens/s are −10 … +20 %."""
    energy = agreements(
        performance(fleet_energy=2.1),
        performance("replay", tokens_per_s=100.0, fleet_energy=2.0, ci={"tokens_per_s": (90.0, 120.0)}),
    )[-1]
    assert (energy.workload, energy.metric) == ("fleet", "energy_j_per_token")
    assert (energy.observed.low, energy.observed.high) == (pytest.approx(1.8), pytest.approx(2.4))
    assert energy.verdict == "undecided"


@pytest.mark.parametrize(("saturation", "verdict"), [(1.2, "disagrees"), (0.9, "undecided")])
def test_a_promised_steady_state_that_was_not_found_is_never_silence(saturation: float, verdict: str) -> None:
    observed = performance("replay", steady=False, saturation=saturation)
    found = only(agreements(performance(tpot=Quantiles(mean=30.0)), observed))
    assert (found.metric, found.verdict) == ("steady", verdict)


def test_the_result_says_whether_anything_disagrees_and_is_plain_data() -> None:
    predicted = performance(tpot=Quantiles(mean=33.0))
    observed = performance("replay", Quantiles(mean=30.0), ci={"tpot_ms.mean": (29.0, 31.0)})
    result = Crosscheck(predicted, observed, agreements(predicted, observed))
    assert result.disagrees
    told = result.to_dict()
    assert told["predicted"]["schema"] == "dsd-plan/performance/1"
    assert told["agreements"][0]["observed"] == {"point": 30.0, "low": 29.0, "high": 31.0, "level": 0.95}
    better = replace(predicted, workloads=observed.workloads)
    assert not Crosscheck(better, observed, agreements(better, observed)).disagrees
