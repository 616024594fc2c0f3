"""A device whose law is known, on a clock that only its steps move."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dsd_plan.domain.profile import StepLaw
from dsd_plan.measure.steps.grid import Grid, GridPoint

LAW = StepLaw(step_ms=0.8, per_token_ms=0.05, per_prompt_token_ms=0.03, per_kv_token_us=0.4)
GRID = Grid("test", (1, 2, 4), (1, 3), (16, 64), (1, 2), (16, 64))


def law_ms(point: GridPoint, law: StepLaw = LAW) -> float:
    tokens = point.batch * point.new_tokens
    if point.phase == "prefill":
        return law.step_ms + law.per_prompt_token_ms * tokens
    return law.step_ms + law.per_token_ms * tokens + law.per_kv_token_us * point.batch * point.context_tokens / 1000


class FakeClock:
    """Wall and processor time, moved by hand."""

    def __init__(self, load: float | None = 0.0, others_cores: float | None = 0.0) -> None:
        self.wall = 100.0
        self.cpu = 5.0
        self.others_cores = others_cores
        self._load = load

    def wall_s(self) -> float:
        return self.wall

    def cpu_s(self) -> float:
        return self.cpu

    def load(self) -> float | None:
        return self._load

    def others_cpu_s(self) -> float | None:
        return None if self.others_cores is None else 1000.0 + self.others_cores * self.wall

    def frequency_mhz(self) -> float | None:
        return 2500.0

    def sleep(self, seconds: float) -> None:
        self.wall += seconds

    def now(self) -> str:
        return "2026-01-02T03:04:05+00:00"


class FakeRunner:
    """Steps that take the law's time, with noise, times a factor of the wall clock."""

    model = "known"
    backend = "fake"
    precision = "none"
    max_context = 96
    weight_bytes = 3 * 2**30
    kv_bytes_per_token = 2**20
    memory_limit_bytes: int | None = None
    cpu_bound = True

    def __init__(
        self,
        clock: FakeClock,
        noise: float = 0.0,
        cpu_share: float = 1.0,
        factor: Callable[[float], float] = lambda wall: 1.0,
    ) -> None:
        self.clock = clock
        self.visits: list[GridPoint] = []
        self.details: dict[str, str | float | int | bool | None] = {"attention": "none"}
        self.software = {"fake": "1.0"}
        self.closed = False
        self.extra_ms: Callable[[GridPoint], float] = lambda point: 0.0
        self.on_visit: Callable[[], object] = lambda: None
        self._noise = noise
        self._cpu_share = cpu_share
        self._factor = factor
        self._rng = np.random.default_rng(0)

    def memory_bytes(self, point: GridPoint) -> int:
        return self.weight_bytes + point.batch * (point.context_tokens + point.new_tokens) * self.kv_bytes_per_token

    def close(self) -> None:
        self.closed = True

    def prepared(self, point: GridPoint) -> Callable[[], None]:
        self.visits.append(point)
        self.on_visit()

        def step() -> None:
            spread = max(0.1, 1.0 + self._noise * float(self._rng.standard_normal()))
            ms = law_ms(point) + self.extra_ms(point)
            seconds = ms * self._factor(self.clock.wall) * spread / 1000
            self.clock.wall += seconds
            self.clock.cpu += seconds * self._cpu_share

        return step
