"""Rounds over all points, each in its own random order, until every median is known well enough or time is up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dsd_plan.measure.machine import Clock
from dsd_plan.measure.steps.grid import GridPoint
from dsd_plan.measure.steps.partial import Identity, Partial, kept_visits
from dsd_plan.measure.steps.runner import Runner
from dsd_plan.measure.steps.sampling import FEWEST_SAMPLES, Visited

Progress = Callable[[int, int, str], None]
"""(done, total, what is going on)."""
OnPartial = Callable[[Partial], None]

VISIT_S = 0.006
"""How long one visit to a grid point lasts, at least one step."""
WARMED_S = 0.025
"""Steps shorter than this are run once before they are timed: the step before was another one's."""
MOST_STEPS_A_VISIT = 16
ANCHOR_S = 0.3
"""How long the anchor is warmed up, and then timed, before and after everything else."""
KEPT_EVERY_S = 10.0
"""How much time of measurement may be lost when it does not end."""


class Session:
    """One measurement under way, of one runner or of several in the same rounds."""

    def __init__(
        self,
        runners: Sequence[Runner],
        clock: Clock,
        visited: Sequence[Visited],
        seed: int,
        identity: Identity,
        on_partial: OnPartial | None = None,
    ) -> None:
        self.visited = list(visited)
        self.rounds = 0
        self.resumed = False
        self.spent_s = 0.0
        self.anchor = min(v.point for v in visited if v.runner == 0)
        self._runners = tuple(runners)
        self._clock = clock
        self._seed = seed
        self._identity = identity
        self._on_partial = on_partial
        self._began_at = clock.now()
        self._started_ms = 0.0
        self._timed_s = 0.0
        self._timed_cpu_s = 0.0

    def resume(self, partial: Partial) -> None:
        """Take up an unfinished measurement of these points."""
        for visited, visits_ms in zip(self.visited, partial.visits_ms, strict=True):
            for visit in visits_ms:
                visited.add(visit)
        self.resumed = True
        self.rounds = partial.rounds
        self.spent_s = partial.spent_s
        self._began_at = partial.began_at
        self._started_ms = partial.anchor_ms
        self._timed_s = partial.timed_s
        self._timed_cpu_s = partial.timed_cpu_s

    def start(self) -> None:
        """Time the anchor, to which the end is compared; a resumed measurement keeps its first."""
        found_ms = self.anchor_ms()
        if not self.resumed:
            self._started_ms = found_ms

    def drift(self) -> float:
        """How much longer the anchor takes now than at the start, as a share."""
        return self.anchor_ms() / self._started_ms - 1.0

    def anchor_ms(self) -> float:
        """Median of the cheapest decode step."""
        return self.step_ms(self._runners[0].prepared(self.anchor))

    def step_ms(self, step: Callable[[], None]) -> float:
        """Median of a step, warmed up."""
        warm_s = self._clock.wall_s() + ANCHOR_S
        while self._clock.wall_s() < warm_s:
            step()
        samples_ms: list[float] = []
        while sum(samples_ms) < 1000.0 * ANCHOR_S:
            samples_ms += self._timed_ms(step, MOST_STEPS_A_VISIT)
        return float(np.median(samples_ms))

    def run(self, budget_s: float, on_progress: Progress | None) -> None:
        """Round after round, until the budget is spent or every point is settled; every point has three samples.

        What was measured is handed to ``on_partial`` every ten seconds, and when the measurement is broken off.
        """
        before_s, began_s = self.spent_s, self._clock.wall_s()
        kept_s = began_s
        try:
            while any(self._wanted(visited, budget_s) for visited in self.visited):
                rng = np.random.default_rng((self._seed, self.rounds))
                for index in rng.permutation(len(self.visited)):
                    visited = self.visited[index]
                    if not self._wanted(visited, budget_s):
                        continue
                    self._visit(visited)
                    now_s = self._clock.wall_s()
                    self.spent_s = before_s + now_s - began_s
                    if on_progress is not None:
                        on_progress(min(100, int(100 * self.spent_s / budget_s)), 100, self._told())
                    if now_s >= kept_s + KEPT_EVERY_S:
                        self._keep()
                        kept_s = now_s
                self.rounds += 1
        except BaseException:
            self._keep()
            raise
        self._keep()

    def partial(self) -> Partial:
        """Everything so far."""
        return Partial(
            identity=self._identity,
            began_at=self._began_at,
            spent_s=self.spent_s,
            rounds=self.rounds,
            anchor_ms=self._started_ms,
            timed_s=self._timed_s,
            timed_cpu_s=self._timed_cpu_s,
            points=tuple((visited.runner, visited.held_out, visited.point) for visited in self.visited),
            visits_ms=tuple(kept_visits(visited.visits_ms) for visited in self.visited),
        )

    def cpu_share(self) -> float:
        """Processor seconds per wall second while steps were timed."""
        return self._timed_cpu_s / self._timed_s if self._timed_s > 0.0 else 1.0

    def _keep(self) -> None:
        if self._on_partial is not None and self._timed_s > 0.0:
            self._on_partial(self.partial())

    def _told(self) -> str:
        names = "+".join(dict.fromkeys(runner.model for runner in self._runners))
        settled = sum(visited.settled() for visited in self.visited)
        return f"{names}: {settled} of {len(self.visited)} points known well enough, round {self.rounds + 1}"

    def _wanted(self, visited: Visited, budget_s: float) -> bool:
        if self.spent_s >= budget_s:
            return visited.samples < FEWEST_SAMPLES
        return not visited.settled()

    def _visit(self, visited: Visited) -> None:
        step = self._runners[visited.runner].prepared(visited.point)
        if not visited.visits_ms or visited.visits_ms[-1][-1] < 1000.0 * WARMED_S:
            step()
        first_ms = self._timed_ms(step, 1)[0]
        # Every visit is as long as the first one, so that none outweighs another.
        wanted = min(MOST_STEPS_A_VISIT, max(1, int(1000.0 * VISIT_S / first_ms)))
        count = len(visited.visits_ms[0]) if visited.visits_ms else wanted
        visited.add([first_ms, *self._timed_ms(step, count - 1)])

    def _timed_ms(self, step: Callable[[], None], count: int) -> list[float]:
        clock = self._clock
        cpu_s = clock.cpu_s()
        samples = []
        for _ in range(count):
            began_s = clock.wall_s()
            step()
            samples.append(clock.wall_s() - began_s)
        self._timed_cpu_s += clock.cpu_s() - cpu_s
        self._timed_s += sum(samples)
        return [1000.0 * sample for sample in samples]


def mid_point(points: Sequence[GridPoint]) -> GridPoint:
    """The decode step in the middle of a grid: what a device does all day."""
    decode = [point for point in points if point.phase == "decode"]
    middle = []
    for axis in ("batch", "new_tokens", "context_tokens"):
        values = sorted({getattr(point, axis) for point in decode})
        middle.append(values[(len(values) - 1) // 2])
    wanted = GridPoint("decode", *middle)
    return wanted if wanted in decode else sorted(decode)[(len(decode) - 1) // 2]
