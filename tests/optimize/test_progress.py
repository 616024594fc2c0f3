"""How far a search is, as it is told: onward only, and to the end."""

from __future__ import annotations

from itertools import pairwise

from dsd_plan.crosscheck import agreements
from dsd_plan.optimize.run import optimize
from tests.optimize import stub_model
from tests.optimize.small_scenarios import scenario
from tests.optimize.stub_replay import observer
from tests.optimize.test_study import PROVENANCE


def test_the_parts_of_the_last_stage_move_it_on() -> None:
    """They take most of the time of a small study: a log that is written a tenth at a time shows several of them."""
    told: list[tuple[int, int, str]] = []
    given = scenario()
    optimize(
        given, stub_model.predict, observer(given), agreements, PROVENANCE, on_progress=lambda *what: told.append(what)
    )
    done = [row[0] for row in told]
    (total,) = {row[1] for row in told}
    assert all(before <= after for before, after in pairwise(done))
    assert done[-1] == total
    parts = [row for row in told if "looking for tipping points: " in row[2]]
    assert len({10 * row[0] // total for row in parts}) >= 3
    assert parts[-1][2].split(": ")[1] == f"{len(parts)} of {len(parts)}"
    assert parts[-1][0] < total
