"""Hundreds of spoilt files: each loads or gives one of the project's own errors with something to say."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dsd_plan.errors import DsdPlanError
from dsd_plan.files import load_scenario
from tests.files.conftest import fill
from tests.files.mutants import KINDS, Kind, mutants

MUTANTS = 600
"""Of each kind of file, half of them spoilt in their keys and values, half in their bytes."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_spoilt_file_loads_or_is_explained(tmp_path: Path, kind: Kind) -> None:
    path = fill(tmp_path).path / kind.name
    loaded, messages = 0, []
    for mutant in mutants(path, kind, MUTANTS, seed=20260728):
        path.write_bytes(mutant)
        try:
            kind.load(path)
        except DsdPlanError as error:
            messages.append(str(error))
        else:
            loaded += 1
    for message in messages:
        assert message.strip()
        assert not any(word in message.lower() for word in ("pydantic", "input should", "traceback"))
        assert "\x1b" not in message
        assert "\0" not in message
        message.encode("utf-8")
    # The mutants are worth something: most are refused, and some changes change nothing that matters.
    assert len(messages) > MUTANTS / 2
    assert loaded > 5


@pytest.mark.parametrize("name", ["traces/pair.parquet", "traces/chat.parquet"])
def test_a_spoilt_trace_loads_or_is_explained(tmp_path: Path, name: str) -> None:
    folder = fill(tmp_path)
    path = folder.path / name
    data = path.read_bytes()
    chance = random.Random(7)
    refused = []
    for _ in range(150):
        noise = bytearray(data)
        for _ in range(chance.choice((1, 3, 30))):
            noise[chance.randrange(len(noise))] = chance.randrange(256)
        path.write_bytes(noise[: chance.randrange(len(noise))] if chance.random() < 0.2 else noise)
        try:
            load_scenario(folder.scenario)
        except DsdPlanError as error:
            refused.append(str(error))
    assert len(refused) > 50
    for message in refused:
        assert message.strip()
        message.encode("utf-8")
