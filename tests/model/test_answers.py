"""The whole answer: notes, origins, JSON, and what importing the room costs."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from dsd_plan.domain.workload import RequestTrace
from dsd_plan.model import predict
from tests.model.systems import Chat, system
from tests.model.test_iteration_time import MEASURED


def test_the_same_plan_gives_the_same_answer() -> None:
    first, second = (predict(system(Chat(devices=3), Chat(mode="fused"))).to_dict() for _ in range(2))
    assert first == second
    assert json.loads(json.dumps(first))["source"] == "model"


def test_declared_numbers_are_marked() -> None:
    origin = predict(system(Chat())).workloads[0].origin
    assert origin == {
        "acceptance": "declared",
        "verify_ms": "declared",
        "decode_ms": "declared",
        "prefill_ms": "declared",
    }


def test_extrapolation_is_marked_and_noted() -> None:
    found = predict(system(Chat(window=9), target=MEASURED))
    assert (found.workloads[0].origin or {})["verify_ms"] == "extrapolated"
    assert any("verify_ms" in note and "extrapolated" in note for note in found.notes)


def test_bursts_of_a_recording_are_noted() -> None:
    at = np.sort(np.concatenate([np.full(50, t) + np.linspace(0.0, 0.1, 50) for t in (0.0, 100.0, 200.0)]))
    requests = RequestTrace(at, np.full(150, 100), np.full(150, 20))
    found = predict(system(Chat(mode="target_only", requests=requests)))
    (note,) = (note for note in found.notes if "index of dispersion" in note)
    assert float(note.split("dispersion ")[1].split(",")[0]) > 3.0


def test_users_who_do_not_think_are_noted() -> None:
    found = predict(system(Chat(rate_per_s=None, users=9)))
    assert any("fall into step" in note for note in found.notes)


@pytest.mark.parametrize(("routing", "words"), [("jsq", "nearly evenly"), ("random", "independently")])
def test_the_reader_learns_how_sessions_are_spread(routing: str, words: str) -> None:
    found = predict(system(Chat(), replicas=3, routing=routing))  # type: ignore[arg-type]
    assert any(words in note for note in found.notes)


def test_importing_the_model_is_cheap() -> None:
    code = (
        "import sys, dsd_plan.model\n"
        "heavy = {'scipy', 'numba', 'polars', 'networkx', 'plotly', 'torch'}\n"
        "print(*sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
