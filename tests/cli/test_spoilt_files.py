"""Hundreds of spoilt scenarios, plans and profiles at the command line: an answer or an error, never a crash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dsd_plan.cli import main
from dsd_plan.domain.plan import Assignment
from dsd_plan.files import write_plan
from tests.domain.clinic import PLAN
from tests.files.conftest import fill
from tests.files.mutants import KINDS, Kind, mutants

MUTANTS = 180
"""Of each kind of file; `tests/files/test_fuzz.py` throws more of them at the readers alone."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_spoilt_file_gives_an_answer_or_an_error(
    tmp_path: Path, kind: Kind, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(tmp_path)
    folder.edit(("rate_per_s = 12.0", "rate_per_s = 0.5"))
    night = Assignment(workload="night", mode="target_only", target_device="gpu")
    write_plan(folder.plan, replace(PLAN, assignments=(*PLAN.assignments, night)))
    path = folder.path / kind.name
    assert main(["predict", str(folder.scenario), "--plan", str(folder.plan)]) == 0
    capsys.readouterr()
    codes = []
    for mutant in mutants(path, kind, MUTANTS, seed=7):
        path.write_bytes(mutant)
        code = main(["predict", str(folder.scenario), "--plan", str(folder.plan)])
        told = capsys.readouterr()
        codes.append(code)
        assert code in (0, 1), mutant
        assert "Traceback" not in told.err
        if code == 1:
            assert told.out == ""
            assert told.err.startswith("dsd-plan: ")
    assert codes.count(1) > MUTANTS / 2
    assert codes.count(0) > 5
