"""`trace fit` from the command line: what it writes, refuses and marks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dsd_plan.cli import main
from dsd_plan.domain.acceptance import AcceptanceCounts
from dsd_plan.domain.acceptance_laws import MarkovLaw
from dsd_plan.errors import TraceError
from dsd_plan.files import (
    load_acceptance_law,
    load_scenario,
    write_acceptance,
    write_acceptance_counts,
    write_acceptance_law,
)
from dsd_plan.files.acceptance_law import counts_or_law_of
from dsd_plan.files.reading import read_file
from tests.calibrate.laws import METADATA, chain, rounds

FALLING = np.array([[0.80, 0.56, 0.34, 0.17, 0.07]])
STATES = np.array([[0.45, 0.16], [0.92, 0.85]])


@pytest.fixture
def falling(tmp_path: Path) -> Path:
    path = tmp_path / "falling.parquet"
    write_acceptance(path, rounds(FALLING, np.zeros((40, 50), dtype=np.int64), 3))
    return path


def test_a_law_is_written_and_a_scenario_takes_it(falling: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = falling.parent / "metro"
    assert main(["new", "--example", "metro-edge", str(folder)]) == 0
    capsys.readouterr()
    law = folder / "law.json"
    assert main(["trace", "fit", str(falling), "-o", str(law)]) == 0
    said = capsys.readouterr().out
    assert "→ positional" in said
    assert "what assuming one rate would have cost" in said
    fitted = load_acceptance_law(law)
    assert fitted.survival == pytest.approx(FALLING[0], abs=0.03)
    path = next(folder.glob("*.toml"))
    text = path.read_text(encoding="utf-8")
    text = text.replace("windows = [1, 2, 3, 4, 5, 6, 8]", "windows = [1, 2, 3, 4, 5]")
    lines = ['acceptance = "law.json"' if one.startswith("acceptance") else one for one in text.splitlines()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    acceptance = load_scenario(path).pairs[0].acceptance
    assert getattr(acceptance, "survival", None) == fitted.survival


def test_json_tells_every_candidate(falling: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "fit", str(falling), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["chosen"] == "positional"
    assert set(told["by_law"]) == {"independent", "beta", "positional", "markov-2", "markov-3"}
    assert [row["window"] for row in told["by_law"]["beta"]["windows"]] == [1, 2, 3, 4, 5]


def test_windows_past_those_measured_are_refused_or_marked(
    falling: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["trace", "fit", str(falling), "--largest-window", "7", "-o", str(tmp_path / "law.json")]
    assert main(line) == 1
    assert "lies past the 5 measured" in capsys.readouterr().err
    assert main([*line, "--extrapolate"]) == 1
    assert "a positional law says nothing past window 5" in capsys.readouterr().err
    assert not (tmp_path / "law.json").exists()
    assert main([*line, "--extrapolate", "--law", "independent"]) == 0
    assert "windows 6–7 are extrapolated" in capsys.readouterr().err
    law = load_acceptance_law(tmp_path / "law.json")
    assert (law.measured_window, law.largest_window, law.evidence.accepted_by_test) == (5, 7, False)
    taken = counts_or_law_of(read_file(tmp_path / "law.json", TraceError))
    assert getattr(taken, "measured_window", None) == 5


def test_a_law_with_states_is_taken_by_scenarios(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace, law = tmp_path / "bursty.parquet", tmp_path / "law.json"
    write_acceptance(trace, rounds(STATES, chain(40, 60, 0.92, 5), 6))
    assert main(["trace", "fit", str(trace), "-o", str(law)]) == 0
    capsys.readouterr()
    assert isinstance(counts_or_law_of(read_file(law, TraceError)), MarkovLaw)
    again = tmp_path / "again.json"
    write_acceptance_law(again, load_acceptance_law(law))
    assert again.read_bytes() == law.read_bytes()


def test_totals_are_one_rate_only_when_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = tmp_path / "counts.json"
    write_acceptance_counts(counts, AcceptanceCounts(metadata=METADATA, rounds=100, proposed=200, accepted=96))
    assert main(["trace", "fit", str(counts)]) == 1
    assert "--assume-independent" in capsys.readouterr().err
    assert main(["trace", "fit", str(counts), "--assume-independent"]) == 0
    said = capsys.readouterr()
    assert "probability 0.600" in said.out
    assert "assumed: one rate for every position" in said.err


def test_totals_without_a_window_are_sent_back_to_the_import(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "counts.json"
    write_acceptance_counts(path, AcceptanceCounts(metadata=METADATA, rounds=10, accepted=20))
    assert main(["trace", "fit", str(path), "--assume-independent"]) == 1
    assert "import them again with --window N" in capsys.readouterr().err
    write_acceptance_counts(path, AcceptanceCounts(metadata=METADATA, rounds=10, accepted=20, window=5))
    assert main(["trace", "fit", str(path), "--assume-independent"]) == 0
    assert main(["trace", "describe", str(path)]) == 0
    assert "window: 5" in capsys.readouterr().out


def test_a_law_that_makes_no_sense_is_refused_whole(tmp_path: Path, falling: Path) -> None:
    law = tmp_path / "law.json"
    assert main(["trace", "fit", str(falling), "-o", str(law)]) == 0
    body = json.loads(law.read_text(encoding="utf-8"))
    body["survival"] = [0.5, 0.6]
    body["per_token"] = 0.5
    law.write_text(json.dumps(body), encoding="utf-8")
    with pytest.raises(TraceError) as refused:
        load_acceptance_law(law)
    assert {problem.place for problem in refused.value.problems} == {"survival", "survival[1]", "per_token"}
