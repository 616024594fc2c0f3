"""Laws whose rounds depend on one another, from their file to the answers: model against replay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dsd_plan.domain.acceptance import AcceptanceLaw, TraceMetadata, survival_by_position
from dsd_plan.domain.acceptance_law import FittedLaw, LawEvidence, dependent_law
from dsd_plan.domain.acceptance_laws import BetaLaw, MarkovLaw
from dsd_plan.domain.deployed import Deployed
from dsd_plan.errors import TraceError
from dsd_plan.files import write_acceptance_law
from dsd_plan.files.acceptance_law import counts_or_law_of
from dsd_plan.files.reading import read_file
from dsd_plan.model import predict
from dsd_plan.replay.run import replay
from tests.replay.builder import closed, system
from tests.replay.runs import kernel_run

METADATA = TraceMetadata("draft", "target", "0", "sampled", "test", "1")
NO_EVIDENCE = LawEvidence(requests=0, rounds=0)
BETA = FittedLaw(
    metadata=METADATA,
    kind="beta",
    measured_window=3,
    largest_window=3,
    survival=(0.6, 0.42, 0.32),
    beta_a=1.5,
    beta_b=1.0,
    evidence=NO_EVIDENCE,
)
"""Correlation of tokens within a request: 1 / (a + b + 1) = 0.29."""
MARKOV = FittedLaw(
    metadata=METADATA,
    kind="markov",
    measured_window=3,
    largest_window=3,
    survival=(0.575, 0.475, 0.425),
    states=((0.95, 0.9, 0.85), (0.2, 0.05, 0.0)),
    transition=((0.95, 0.05), (0.05, 0.95)),
    start=(0.5, 0.5),
    evidence=NO_EVIDENCE,
)
"""States last 20 rounds in the mean."""


def from_file(folder: Path, fitted: FittedLaw) -> BetaLaw | MarkovLaw:
    path = folder / "law.json"
    write_acceptance_law(path, fitted)
    law = counts_or_law_of(read_file(path, TraceError))
    assert isinstance(law, BetaLaw | MarkovLaw)
    return law


def lone(acceptance: BetaLaw | MarkovLaw | AcceptanceLaw) -> Deployed:
    """Nobody waits for anybody: the spread of answers is that of their rounds."""
    return system(closed(1, 1.0, 100, 61), window=3, acceptance=acceptance)


def spread_ms(deployed: Deployed) -> float:
    """Standard deviation of E2E over 4000 requests, all rounds being equally long."""
    sessions = kernel_run(deployed, most=4000).tables["sessions"]
    round_ms = predict(deployed).workloads[0].round_parts
    assert round_ms is not None
    one_ms = sum((round_ms.draft_ms, round_ms.uplink_ms, round_ms.wait_ms, round_ms.verify_ms, round_ms.downlink_ms))
    return float(sessions["rounds"].std() * one_ms)


@pytest.mark.parametrize("fitted", [BETA, MARKOV], ids=["beta", "markov"])
def test_model_and_replay_agree_where_rounds_depend(tmp_path: Path, fitted: FittedLaw) -> None:
    law = from_file(tmp_path, fitted)
    assert law == dependent_law(fitted)
    assert law.proposal == "sampled"
    deployed = lone(law)
    predicted = predict(deployed).workloads[0]
    replayed = replay(deployed, requests=8000, replications=2).workloads[0]
    assert predicted.rounds_per_request is not None
    assert replayed.rounds_per_request == pytest.approx(predicted.rounds_per_request, rel=0.02)
    assert replayed.acceptance_rate == pytest.approx(predicted.acceptance_rate, rel=0.03)
    assert replayed.e2e_ms.mean == pytest.approx(predicted.e2e_ms.mean, rel=0.02)
    assert replayed.e2e_ms.p95 == pytest.approx(predicted.e2e_ms.p95, rel=0.06)
    # The same survival without dependence misses the spread of E2E that the law has.
    independent = AcceptanceLaw(survival=tuple(np.minimum.accumulate(survival_by_position(law, 3)).tolist()))
    assert spread_ms(deployed) > 1.8 * spread_ms(lone(independent))
