"""Views of traces for pages: made by laws that are known, complete, and hostile in every text."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from dsd_plan.calibrate.acceptance_fit import fit_acceptance
from dsd_plan.calibrate.acceptance_view import acceptance_fit_view, acceptance_view
from dsd_plan.calibrate.counts_fit import assume_independent
from dsd_plan.calibrate.synthesis import LogNormal, Modulated, synthesize
from dsd_plan.calibrate.workload_fit_view import workload_fit_view
from dsd_plan.domain.acceptance import AcceptanceCounts, RoundTrace, TraceMetadata
from dsd_plan.domain.workload import RequestTrace
from dsd_plan.domain.workload_view import workload_view
from dsd_plan.report.acceptance_fit_page import render_acceptance_fit
from dsd_plan.report.acceptance_page import render_acceptance
from dsd_plan.report.workload_fit_page import render_workload_fit
from dsd_plan.report.workload_page import render_workload
from tests.calibrate.laws import METADATA, rounds
from tests.report.studies import attack

FALLING = np.array([[0.80, 0.56, 0.34, 0.17, 0.07], [0.90, 0.80, 0.70, 0.60, 0.50]])


def round_trace(names: tuple[str, str] = ("code", "prose"), metadata: TraceMetadata = METADATA) -> RoundTrace:
    """Two tasks of 20 requests each, one of which keeps more."""
    state = np.repeat([[0], [1]], 20, axis=0) * np.ones((1, 40), dtype=np.int64)
    made = rounds(FALLING, state, 3)
    context = np.tile(np.arange(100, 900, 20), 40)
    return replace(made, metadata=metadata, task=np.array(names)[np.repeat(state[:, 0], 40)], context_tokens=context)


def requests(names: tuple[str, str] | None = None) -> RequestTrace:
    """Half an hour of bursts; with names also workloads, tasks, users and conversations."""
    made = synthesize(
        1.0,
        1800.0,
        arrivals=Modulated(low=0.5, high=3.0, low_s=80.0, high_s=20.0),
        prompts=LogNormal(300.0, 0.8),
        outputs=LogNormal(100.0, 0.5),
        correlation=0.4,
        seed=1,
    )
    if names is None:
        return made
    which = np.array(names)[np.arange(made.arrival_s.size) % 2]
    talks = np.arange(made.arrival_s.size) // 3
    cached = made.prompt_tokens // 2
    return replace(made, workload=which, task=which, user=talks, conversation=talks, cached_prefix_tokens=cached)


HOSTILE = TraceMetadata(
    *(attack(text) for text in ("draft", "target", "hash")), "argmax", attack("recorder"), attack("version")
)
HOSTILE_NAMES = (attack("one"), attack("two"))


@cache
def pages() -> dict[str, str]:
    """Pages by name, each once."""
    trace, wicked = round_trace(), round_trace(HOSTILE_NAMES, HOSTILE)
    fit, wicked_fit = fit_acceptance(trace, 5), fit_acceptance(wicked, 5)
    file = attack("file")
    counts = AcceptanceCounts(metadata=METADATA, rounds=10, proposed=40, accepted=20, window=4)
    wicked_law = replace(wicked_fit.law, task=attack("task"), assumption=attack("assumed"))
    return {
        "acceptance": render_acceptance("rounds.parquet", acceptance_view(trace)),
        "hostile acceptance": render_acceptance(file, acceptance_view(wicked)),
        "totals": render_acceptance("counts.json", acceptance_view(counts)),
        "fit": render_acceptance_fit("rounds.parquet", acceptance_fit_view(fit.law, fit)),
        "hostile fit": render_acceptance_fit(
            file, acceptance_fit_view(wicked_law, wicked_fit, warnings=(attack("warning"),))
        ),
        "law of totals": render_acceptance_fit("counts.json", acceptance_fit_view(assume_independent(counts))),
        "workload": render_workload("chat.parquet", workload_view(requests())),
        "hostile workload": render_workload(file, workload_view(requests(HOSTILE_NAMES))),
        "workload fit": render_workload_fit(file, workload_fit_view(requests())[1]),
    }
