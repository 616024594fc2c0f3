"""The whole grid: what is known already is taken over, the rest is computed on all cores, and kept as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from dsd_plan import __version__, planning
from dsd_plan.domain.performance import Performance
from dsd_plan.domain.plan import Plan
from dsd_plan.domain.scenario import Scenario
from dsd_plan.domain.sweep import Axis, Value, grid, grid_size
from dsd_plan.errors import ScenarioError
from dsd_plan.files.sweep import known_points, write_sweep
from dsd_plan.files.variations import Variations
from dsd_plan.sweep.points import COLUMNS, REFUSED, Ask, Row, rows_of

if TYPE_CHECKING:
    from pathlib import Path

PARALLEL_FROM = 300
"""Points from which on starting further processes, a second each, pays."""
BATCH = 16
"""Points that a process takes at once."""
KEEPS = 20
"""How often what has been computed is written on the way."""

OnProgress = Callable[[int, int, str], None]
Task = tuple[int, dict[str, Value]]


@dataclass(frozen=True, slots=True)
class Sweep:
    """The grid and a row for every point and workload, in the order of the points; the last key runs fastest."""

    axes: tuple[tuple[str, tuple[Value, ...]], ...]
    rows: tuple[Row, ...]
    points: int
    taken_over: int
    """Points that a file of an earlier run had already."""
    complete: bool
    """Whether every point is there; else Ctrl-C came."""
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The JSON of schema dsd-plan/sweep/1."""
        return {
            "schema": "dsd-plan/sweep/1",
            "keys": [{"key": key, "values": list(values)} for key, values in self.axes],
            "complete": self.complete,
            "rows": list(self.rows),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Replays:
    """How points are replayed: all with the same seed, so that they differ by what is varied alone."""

    seed: int = 0
    requests: int | None = None
    replications: int = planning.REPLICATIONS


def sweep(
    scenario: str | Path,
    plan: Plan,
    vary: Sequence[Axis],
    *,
    replays: Replays | None = None,
    output: str | Path | None = None,
    workers: int = 1,
    initializer: Callable[[], None] | None = None,
    on_progress: OnProgress | None = None,
) -> Sweep:
    """Predict (or, with `replays`, replay) `plan` at every point of the grid that `vary` spans.

    With `output` the table is kept as it grows, and what it holds already of the same inputs is not computed again.
    Predictions run in `workers` processes (a script that asks for several needs the usual main guard). Ctrl-C ends with
    what there is. Raises InputError for keys and values, ScenarioError where no point at all makes sense.
    """
    variations = Variations(scenario, plan)
    axes = variations.axes(vary)
    total = grid_size(axes)
    about = _about(replays)
    points = list(enumerate(grid(axes)))
    hashes = [variations.fingerprint(values, about) for _, values in points]
    known = {} if output is None else known_points(output, frozenset(hashes))
    done: dict[int, list[Row]] = {
        number: [_placed(row, number, values) for row in known[hashes[number]]]
        for number, values in points
        if hashes[number] in known
    }
    taken_over = len(done)
    waiting = [(number, values) for number, values in points if number not in done]

    def rows() -> tuple[Row, ...]:
        return tuple(row for number in sorted(done) for row in done[number])

    def keep() -> None:
        if output is not None:
            write_sweep(output, rows(), axes, COLUMNS)

    many = workers if replays is None and len(waiting) >= PARALLEL_FROM else 1
    computed = (
        _alone(variations, waiting, _asking(replays, on_progress if total == 1 else None))
        if many == 1
        else _together(scenario, plan, waiting, many, initializer)
    )
    complete, every = True, max(1, len(waiting) // KEEPS)
    try:
        for number, found in computed:
            done[number] = [row | {"point_hash": hashes[number]} for row in found]
            if on_progress is not None:
                on_progress(len(done), total, f"{len(done):,} of {total:,} points")
            if (len(done) - taken_over) % every == 0 and len(done) < total:
                keep()
    except KeyboardInterrupt:
        if not done:
            raise
        complete = False
    everything = rows()
    if complete and everything and all(row["outcome"] == REFUSED for row in everything):
        raise ScenarioError(f"{scenario}, at every point", everything[0]["reason"])
    keep()
    return Sweep(axes, everything, total, taken_over, complete, _notes(variations, axes, replays))


def _notes(
    variations: Variations, axes: Sequence[tuple[str, tuple[Value, ...]]], replays: Replays | None
) -> tuple[str, ...]:
    notes = variations.notes([key for key, _ in axes])
    if replays is None and variations.scenario.faults:
        return (*notes, "predicted without the scenario's faults, which only a replay plays")
    return notes


def _about(replays: Replays | None) -> dict[str, Any]:
    told: dict[str, Any] = {"version": __version__, "source": "model" if replays is None else "replay"}
    if replays is not None:
        told |= {"seed": replays.seed, "requests": replays.requests, "replications": replays.replications}
    return told


def _placed(row: Mapping[str, Any], number: int, values: Mapping[str, Value]) -> Row:
    """A known row at its place in this grid."""
    return {**values, **dict.fromkeys(COLUMNS), **{name: row.get(name) for name in COLUMNS}, "point": number}


def _asking(replays: Replays | None, on_progress: OnProgress | None) -> Ask:
    if replays is None:
        return planning.predict

    def ask(scenario: Scenario, plan: Plan) -> Performance:
        return planning.replay(
            scenario,
            plan,
            seed=replays.seed,
            requests=replays.requests,
            replications=replays.replications,
            on_progress=on_progress,
        )

    return ask


def _alone(variations: Variations, tasks: Iterable[Task], ask: Ask) -> Iterator[tuple[int, list[Row]]]:
    for number, values in tasks:
        yield number, rows_of(variations, number, values, ask)


_worker: list[Variations] = []
"""In a process of its own: the files, read once."""


def _start(scenario: str | Path, plan: Plan, initializer: Callable[[], None] | None) -> None:
    if initializer is not None:
        initializer()
    _worker[:] = [Variations(scenario, plan)]


def _batch(tasks: list[Task]) -> list[tuple[int, list[Row]]]:
    return list(_alone(_worker[0], tasks, planning.predict))


def _together(
    scenario: str | Path, plan: Plan, tasks: list[Task], workers: int, initializer: Callable[[], None] | None
) -> Iterator[tuple[int, list[Row]]]:
    """In the order in which batches end."""
    context = get_context("spawn")  # a fork would copy locks that threads hold
    executor = ProcessPoolExecutor(workers, context, _start, (scenario, plan, initializer))
    try:
        batches = (tasks[at : at + BATCH] for at in range(0, len(tasks), BATCH))
        running: set[Future[list[tuple[int, list[Row]]]]] = {executor.submit(_batch, batch) for batch in batches}
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                yield from future.result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
