"""A large study keeps the plan, its numbers and its budgets; a small one is left alone."""

from __future__ import annotations

from dataclasses import replace

from dsd_plan.domain.study import Study
from dsd_plan.optimize.abridged import FURTHEST_OFF, SHOWN, abridged, tightest
from tests.report.studies import full_study


def many(study: Study, workloads: int) -> Study:
    """The study's first workload, again and again, the last with the least room."""
    first = study.predicted.workloads[0]
    names = [f"chat{k}" for k in range(workloads)]
    predicted = replace(study.predicted, workloads=tuple(replace(first, name=name) for name in names))
    checks = [c for c in study.budgets if c.scope == first.name][:1]
    budgets = tuple(
        replace(checks[0], scope=name, limit=100.0, predicted=float(k) / workloads, replayed=None)
        for k, name in enumerate(names)
    )
    agreement = next(a for a in study.agreements if a.workload == first.name)
    agreements = tuple(replace(agreement, workload=n, relative_error=k / 1000) for k, n in enumerate(names))
    option = replace(study.options[0], predicted=predicted, replayed=predicted)
    return replace(
        study,
        predicted=predicted,
        replayed=predicted,
        budgets=budgets,
        agreements=agreements,
        options=(option,),
        alternatives=(option,),
        equivalents=(),
        round_parts=(),
    )


def test_a_small_study_stays_as_it_is() -> None:
    study = many(full_study(), 60)
    assert abridged(study) is study


def test_a_large_study_is_whole_where_it_matters() -> None:
    study = many(full_study(), 200)
    found = abridged(study)
    assert (found.plan, found.predicted, found.replayed, found.budgets) == (
        study.plan,
        study.predicted,
        study.replayed,
        study.budgets,
    )
    shown = {f"chat{k}" for k in range(200 - SHOWN, 200)}
    assert tightest(study, SHOWN) == shown
    for option in (*found.options, *found.alternatives):
        assert option.predicted is not None
        assert {workload.name for workload in option.predicted.workloads} == shown
        assert option.predicted.fleet == study.predicted.fleet
    # Those with the least room are the furthest off too, so the next ones are kept beside them.
    assert len(found.agreements) == SHOWN + FURTHEST_OFF
    assert min(a.relative_error for a in found.agreements) == (200 - SHOWN - FURTHEST_OFF) / 1000
    assert found.story[:-1] == study.story
    assert "of 200 workloads" in found.story[-1]
