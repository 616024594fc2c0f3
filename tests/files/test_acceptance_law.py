"""Law files: what is written is read again, and what cannot be true is refused with place, found and expected."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsd_plan.domain.acceptance import AcceptanceCounts, AcceptanceLaw, TraceMetadata
from dsd_plan.domain.acceptance_law import FittedLaw, LawEvidence, LawScore, PositionEvidence, dependent_law
from dsd_plan.domain.acceptance_laws import BetaLaw, MarkovLaw
from dsd_plan.errors import SchemaVersionError, TraceError
from dsd_plan.files.acceptance_law import counts_or_law_of, load_acceptance_law, write_acceptance_law
from dsd_plan.files.reading import read_file

KINDS: dict[str, dict[str, Any]] = {
    "independent": {"per_token": 0.5, "survival": (0.5, 0.25)},
    "positional": {"survival": (0.6, 0.5)},
    "beta": {"beta_a": 2.0, "beta_b": 1.5, "survival": (0.55, 0.4)},
    "markov": {
        "survival": (0.6, 0.4),
        "states": ((0.3, 0.1), (0.9, 0.7)),
        "transition": ((0.75, 0.25), (0.5, 0.5)),
        "start": (0.5, 0.5),
    },
}


def law(kind: str, **changed: Any) -> FittedLaw:
    evidence = LawEvidence(
        requests=12,
        rounds=340,
        tried=(PositionEvidence(position=1, tried=340, kept=200, low=0.5, high=0.7),),
        compared=(
            LawScore(law=kind, parameters=2, bits_behind=0.0, standard_error=0.0, tokens_error=-0.01, rejected=False),
        ),
    )
    given = {"measured_window": 2, "largest_window": 2, "evidence": evidence} | KINDS[kind] | changed
    return FittedLaw(metadata=TraceMetadata("d", "t", "h", "argmax", "made", "1", 0.5), kind=kind, **given)  # type: ignore[arg-type]


def damaged(path: Path, kind: str, damage: Callable[[dict[str, Any]], object]) -> str:
    """The message for a law file after `damage`."""
    write_acceptance_law(path, law(kind))
    told = json.loads(path.read_text())
    damage(told)
    path.write_text(json.dumps(told))
    with pytest.raises(TraceError) as refused:
        load_acceptance_law(path)
    assert path.name in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read_again(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "law.json"
    write_acceptance_law(path, law(kind, task="code", assumption="made up"))
    assert load_acceptance_law(path) == law(kind, task="code", assumption="made up")


def test_scenarios_take_laws_whose_rounds_do_not_depend(tmp_path: Path) -> None:
    path = tmp_path / "law.json"
    write_acceptance_law(path, law("positional"))
    assert counts_or_law_of(read_file(path, TraceError)) == AcceptanceLaw(survival=(0.6, 0.5))
    write_acceptance_law(path, law("independent", largest_window=3, survival=(0.5, 0.25, 0.125)))
    taken = counts_or_law_of(read_file(path, TraceError))
    assert not isinstance(taken, AcceptanceCounts)
    assert taken.measured_window == 2


@pytest.mark.parametrize("kind", ["beta", "markov"])
def test_scenarios_take_laws_whose_rounds_depend(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "law.json"
    write_acceptance_law(path, law(kind))
    assert counts_or_law_of(read_file(path, TraceError)) == dependent_law(law(kind))


def test_laws_whose_rounds_depend_keep_their_windows() -> None:
    beta = dependent_law(law("beta", largest_window=3, survival=(0.55, 0.4, 0.3)))
    assert beta == BetaLaw(a=2.0, b=1.5, largest_window=3, measured_window=2, proposal="argmax")
    markov = dependent_law(law("markov"))
    assert isinstance(markov, MarkovLaw)
    assert (markov.states, markov.start) == (KINDS["markov"]["states"], (0.5, 0.5))
    assert dependent_law(law("positional")) is None


@pytest.mark.parametrize(
    ("kind", "damage", "message"),
    [
        ("independent", lambda t: t.pop("per_token"), "per_token: missing, needed by independent"),
        ("positional", lambda t: t.update(per_token=0.5), "per_token: is of another kind of law"),
        (
            "positional",
            lambda t: t.update(survival=[0.5, 0.6]),
            "survival[1]: found 0.6, expected no more than the 0.5",
        ),
        ("positional", lambda t: t.update(survival=[0.5]), "survival: found 1 positions, largest_window is 2"),
        (
            "positional",
            lambda t: t.update(largest_window=3, survival=[0.6, 0.5, 0.4]),
            "largest_window: found 3, positions were measured to 2",
        ),
        ("beta", lambda t: t.pop("beta_b"), "beta_b: missing, needed by beta"),
        ("beta", lambda t: t.update(beta_a=0.0), "beta_a: found 0.0"),
        ("markov", lambda t: t.update(start=[0.5, 0.4]), "start: expected 2 probabilities whose sum is 1"),
        ("markov", lambda t: t.update(transition=[[1.0, 0.0]]), "transition: found 1 rows, start 2, states 2"),
        ("markov", lambda t: t["transition"].__setitem__(1, [0.5, 0.4]), "transition[1]: expected 2 probabilities"),
        ("markov", lambda t: t["states"].__setitem__(0, [0.3]), "states[0]: found 1 positions, largest_window is 2"),
        ("markov", lambda t: t["states"].__setitem__(0, [0.3, 0.4]), "states[0][1]: found 0.4, expected no more than"),
        ("beta", lambda t: t.update(kind="gamma"), "kind: found"),
        ("beta", lambda t: t.update(beta_c=1.0), "beta_c"),
    ],
)
def test_damaged_laws_are_refused(
    tmp_path: Path, kind: str, damage: Callable[[dict[str, Any]], object], message: str
) -> None:
    assert message in damaged(tmp_path / "law.json", kind, damage)


def test_a_law_that_makes_no_sense_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "law.json"
    with pytest.raises(TraceError, match="survival"):
        write_acceptance_law(path, law("beta", survival=(0.2, 0.3)))
    assert not path.exists()


def test_other_versions_are_told(tmp_path: Path) -> None:
    path = tmp_path / "law.json"
    write_acceptance_law(path, law("beta"))
    path.write_text(path.read_text().replace("acceptance-law/1", "acceptance-law/2"))
    with pytest.raises(SchemaVersionError):
        load_acceptance_law(path)
