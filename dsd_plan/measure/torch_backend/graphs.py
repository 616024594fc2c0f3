"""Steps as CUDA graphs, as engines run their decode steps: launched at once, not kernel by kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsd_plan.measure.steps.grid import GridPoint
from dsd_plan.measure.torch_backend.device import TorchDevice, torch_module

WARM_UP_STEPS = 3
"""Before a capture, on a stream of its own, so that libraries have their work space (PyTorch's notes on graphs)."""

Step = Callable[[], object]


class CudaGraphs:
    """Captured steps by point; where one cannot be captured it runs kernel by kernel, and that is counted."""

    def __init__(self, device: TorchDevice) -> None:
        self.failed = 0
        self.first_failure: str | None = None
        self._device = device
        self._steps: dict[GridPoint, Step] = {}
        self._inputs: list[Step] = []
        self._pool: Any = None

    def captured(self, point: GridPoint, step: Step) -> Step:
        """``step`` as a graph, captured once for ``point``; ``step`` itself where it cannot be captured."""
        if point not in self._steps:
            try:
                self._steps[point] = self._capture(step)
            except RuntimeError as failure:
                self.failed += 1
                self.first_failure = self.first_failure or str(failure).splitlines()[0]
                self._steps[point] = step
        return self._steps[point]

    def clear(self) -> None:
        """Forget them all: the memory that they read is about to go."""
        self._steps.clear()
        self._inputs.clear()
        self._pool = None

    def _capture(self, step: Step) -> Step:
        torch = torch_module()
        with torch.cuda.device(self._device.index):
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(WARM_UP_STEPS):
                    step()
            torch.cuda.current_stream().wait_stream(aside)
            if self._pool is None:
                self._pool = torch.cuda.graph_pool_handle()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                step()
        # A graph reads the tensors that the step was captured with, and does not hold them.
        self._inputs.append(step)
        replay: Step = graph.replay
        return replay
