"""A run whose tables are read and emptied while it goes gives the very rows of one whose tables grow."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dsd_plan.domain.deployed import Deployed
from dsd_plan.replay.engine import Run, keys_of, users_of
from dsd_plan.replay.inputs import tables_of
from dsd_plan.replay.kernel import SLOTS_FULL
from tests.replay.builder import closed, system
from tests.replay.test_twin import systems

GROUPS = 64


def run_in_pieces(deployed: Deployed, most: int, slots: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Ended sessions by number, groups and rounds, read whenever a table was full; and the slots used at the end."""
    run = Run(
        tables_of(deployed),
        keys_of(deployed, 3, 0),
        users_of(deployed),
        most,
        slots=slots,
        groups=GROUPS,
        keep_rounds=True,
    )
    pieces = []

    def make_room(full: Run, status: int) -> None:
        pieces.append(tuple(table.copy() for table in full.read()))
        if status == SLOTS_FULL and pieces[-1][0].size == 0:
            full.grow(status)

    run.advance(make_room)
    pieces.append(run.read())
    sessions, groups, rounds = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    return np.sort(sessions, order="number"), groups, rounds, run.tables["sessions"].size


@given(systems(), st.integers(1, 9))
@settings(max_examples=60)
def test_slots_that_are_used_again_change_nothing(deployed: Deployed, slots: int) -> None:
    """Invariant 16."""
    whole = Run(tables_of(deployed), keys_of(deployed, 3, 0), users_of(deployed), 60)
    whole.advance()
    expected = whole.tables["sessions"][: int(whole.worlds["started"][0])]
    sessions, groups, rounds, _ = run_in_pieces(deployed, 60, slots)
    for column in expected.dtype.names or ():
        if column != "next":  # a chain of slots
            assert np.array_equal(sessions[column], expected[column]), column
    logged = whole.tables["groups"][: int(whole.worlds["logged"][0])]
    assert groups.tobytes() == logged.tobytes()
    assert np.array_equal(rounds["session"], groups["session"])


def test_slots_are_as_many_as_live_at_once() -> None:
    """Five users have five sessions at most, however many requests they make."""
    sessions, _, _, slots = run_in_pieces(system(closed(5, 0.1, 20, 5)), 500, 1)
    assert sessions["number"].tolist() == list(range(500))
    assert slots == 8


def test_a_kept_round_adds_up() -> None:
    """Asked, sent, joined, began, ended, arrived: in order; a round's parts are what the session summed."""
    sessions, groups, rounds, _ = run_in_pieces(system(closed(5, 0.1, 20, 30)), 40, 40)
    times = np.column_stack([rounds[f"{at}_ms"] for at in ("asked", "sent", "joined", "began", "drafted", "ended")])
    assert (np.diff(times, axis=1) >= -1e-9).all()
    assert (groups["arrival_ms"] >= rounds["ended_ms"]).all()
    drafted = rounds[rounds["round"] > 0]
    for name, first, last in (("draft", "asked", "sent"), ("up", "sent", "joined"), ("wait", "joined", "began")):
        spent = np.bincount(drafted["session"], drafted[f"{last}_ms"] - drafted[f"{first}_ms"])
        np.testing.assert_allclose(spent, sessions[f"sum_{name}_ms"], atol=1e-6)
    assert np.bincount(drafted["session"], drafted["accepted"]).tolist() == sessions["accepted"].tolist()
    assert np.bincount(drafted["session"], drafted["window"]).tolist() == sessions["proposed"].tolist()
