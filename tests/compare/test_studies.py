"""Two studies: identical ones, one number inside and outside its interval, other inputs, another plan."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsd_plan.compare import compare_performances, compare_studies
from dsd_plan.domain.comparison import Comparison, NumberChange
from dsd_plan.domain.performance import Interval, Performance, Quantiles
from dsd_plan.domain.study import InputHash, Study
from tests.report.studies import full_study, measured_study, performance, plan_of


def with_tpot(study: Study, factor: float) -> Study:
    """Its replayed mean TPOT times a factor, its interval moved along."""
    return replace(study, replayed=tpot_times(study.replayed, factor))


def tpot_times(seen: Performance, factor: float) -> Performance:
    workload = seen.workloads[0]
    mean = workload.tpot_ms.mean
    assert mean is not None
    ci = workload.ci and {
        key: tuple(factor * end for end in ends) if key == "tpot_ms.mean" and ends else ends
        for key, ends in workload.ci.items()
    }
    tpot = Quantiles(mean=mean * factor, p50=workload.tpot_ms.p50, p95=workload.tpot_ms.p95, p99=workload.tpot_ms.p99)
    return replace(seen, workloads=(replace(workload, tpot_ms=tpot, ci=ci),))


def number_of(found: Comparison, metric: str) -> NumberChange:
    return next(row for row in found.leading if row.metric == metric and row.scope == "workload")


@pytest.mark.parametrize("study", [full_study(), measured_study()])
def test_a_study_compared_with_itself_has_not_changed(study: Study) -> None:
    found = compare_studies(study, study)
    assert found.identical
    assert {row.finding for row in found.numbers} == {"same"}
    assert (found.inputs, found.scenario, found.plan, found.budgets, found.made) == ((), (), (), (), ())


def test_a_change_within_the_intervals_is_not_significant() -> None:
    """Intervals are −1.5 % and +1.6 %: of a change by 2 % the difference's lower end is 2 − 2.2 %."""
    found = compare_studies(full_study(), with_tpot(full_study(), 1.02))
    row = number_of(found, "tpot_ms.mean")
    assert row.finding == "not significant"
    assert row.ratio is not None
    assert row.ratio.point == pytest.approx(1.02)
    assert row.ratio.low < 1.0 < row.ratio.high
    assert not found.identical
    assert [r.metric for r in found.leading if r.finding != "same"] == ["tpot_ms.mean"]


@pytest.mark.parametrize("factor", [1.03, 0.97])
def test_a_change_beyond_the_intervals_is_significant(factor: float) -> None:
    row = number_of(compare_studies(full_study(), with_tpot(full_study(), factor)), "tpot_ms.mean")
    assert row.finding == "significant"
    assert row.source == "replay"


def test_the_fleets_energy_is_judged_by_the_interval_that_the_study_has_of_its_replay() -> None:
    study, energy = full_study(), 2.9
    own = replace(study.replayed, fleet=replace(study.replayed.fleet, energy_j_per_token=energy))
    seen = Interval(point=energy, low=0.99 * energy, high=1.01 * energy)
    known = replace(study.agreements[0], workload="fleet", metric="energy_j_per_token", observed=seen)
    others = tuple(a for a in study.agreements if a.workload != "fleet")
    study = replace(study, replayed=own, agreements=(*others, known))

    def judged(factor: float) -> str:
        fleet = replace(study.replayed.fleet, energy_j_per_token=factor * energy)
        moved = replace(seen, point=factor * energy, low=0.99 * factor * energy, high=1.01 * factor * energy)
        after = replace(
            study,
            replayed=replace(study.replayed, fleet=fleet),
            agreements=(*study.agreements[:-1], replace(known, observed=moved)),
        )
        rows = compare_studies(study, after).numbers
        return next(
            r.finding for r in rows if (r.scope, r.metric, r.source) == ("fleet", "energy_j_per_token", "replay")
        )

    assert judged(1.005) == "not significant"
    assert judged(1.05) == "significant"


def test_without_intervals_nothing_is_called_significant() -> None:
    one, other = performance("model", "fused", 4), performance("model", "fused", 5)
    found = compare_performances(one, other)
    assert number_of(found, "tpot_ms.mean").finding == "not known"
    assert found.basis == "model"


def test_what_went_in_is_told_file_by_file_and_key_by_key() -> None:
    before = full_study()
    made = before.provenance
    inputs = (
        replace(made.inputs[0], sha256="0" * 64),
        made.inputs[1],
        InputHash(path="new.parquet", sha256="1" * 64),
    )
    links = [{"between": ["clinic", "region"], "rtt_ms": 35.0, "jitter_cv": 0.2}]
    after = replace(
        before, scenario={**before.scenario, "links": links}, provenance=replace(made, inputs=inputs, seed=2)
    )
    found = compare_studies(before, after)
    assert [(change.path, change.change) for change in found.inputs] == [
        ("two-clinics.toml", "changed"),
        ("new.parquet", "added"),
        ("traces/draft-70m_target-7b.parquet", "removed"),
    ]
    assert [(c.key, c.before, c.after) for c in found.scenario] == [("links[clinic-region].rtt_ms", 20.0, 35.0)]
    assert [(c.key, c.before, c.after) for c in found.made] == [("seed", 1, 2)]
    assert any("different seeds" in note for note in found.notes)


def test_a_file_that_lies_elsewhere_is_the_same_file() -> None:
    before = full_study()
    moved = tuple(replace(file, path=f"/elsewhere/{file.path}") for file in before.provenance.inputs)
    after = replace(before, provenance=replace(before.provenance, inputs=moved))
    assert compare_studies(before, after).inputs == ()
    other = replace(moved[1], sha256="0" * 64)
    after = replace(before, provenance=replace(before.provenance, inputs=(moved[0], other, moved[2])))
    assert [(c.path, c.change, c.before) for c in compare_studies(before, after).inputs] == [
        (other.path, "changed", moved[1].sha256)
    ]


def test_another_decision_is_told_plan_budgets_options_and_verdict() -> None:
    found = compare_studies(full_study(), measured_study())
    changes = {change.key: (change.before, change.after) for change in found.plan}
    assert changes["assignments[chat].mode"] == ("distributed", "target_only")
    assert changes["assignments[chat].window"] == (4, None)
    assert changes["deployments[gpu-server/target-7b].count"] == (2, 4)
    assert "deployments[edge-box/draft-70m]" in changes
    assert [(b.budget, b.kept_before, b.kept_after) for b in found.budgets if b.kept_after is not None] == [
        ("tpot_p95_ms", True, False)
    ]
    assert found.verdict is not None
    assert (found.verdict.answer_before, found.verdict.answer_after) == ("yes", "no")
    options = {option.name: option for option in found.options}
    assert options["draft at the edge"].chosen_before
    assert not options["draft at the edge"].chosen_after
    assert options["edge alone"].change == "removed"
    cost = next(row for row in found.leading if row.metric == "cost_per_hour")
    assert (cost.before, cost.after, cost.finding) == (5.2, 8.0, "changed")


def test_numbers_lead_from_the_best_source_that_both_have() -> None:
    study = full_study()
    unsteady = replace(study, replayed=replace(study.replayed, steady=False))
    measured = replace(study, measured=performance("testbed", "distributed", 4))
    assert compare_studies(study, study).basis == "replay"
    assert compare_studies(study, unsteady).basis == "model"
    assert compare_studies(measured, measured).basis == "testbed"
    assert compare_studies(measured, study).basis == "replay"


def test_workloads_that_one_side_alone_has_are_named_and_not_compared() -> None:
    study = full_study()
    other = replace(
        study,
        predicted=replace(study.predicted, workloads=(replace(study.predicted.workloads[0], name="code"),)),
        replayed=replace(study.replayed, workloads=(replace(study.replayed.workloads[0], name="code"),)),
        plan=plan_of("fused", 3),
    )
    found = compare_studies(study, other)
    assert (found.only_before, found.only_after) == (("chat",), ("code",))
    assert all(row.scope != "workload" for row in found.numbers)


def test_performances_of_two_sources_are_compared_and_it_is_said_what_that_means() -> None:
    found = compare_performances(performance("model", "fused", 4), performance("replay", "fused", 4))
    assert found.basis is None
    assert "crosscheck" in found.notes[0]
