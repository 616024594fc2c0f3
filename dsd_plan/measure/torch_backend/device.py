"""Where PyTorch runs: devices that are there, their memory, their number formats, and when a step is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsd_plan.errors import MeasurementError
from dsd_plan.measure.machine import available_memory_bytes
from dsd_plan.measure.torch_backend.shape import BYTES_OF, Dtype

GIB = 2**30
USABLE = 0.92
"""Share of the free memory that a model, its cache and its work space may fill."""
DEFAULT_DTYPE: dict[str, Dtype] = {"cpu": "float32", "cuda": "bfloat16", "mps": "float16"}
MEMORY_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""What a container may use, and uses: control groups 2 and 1."""


@dataclass(frozen=True, slots=True)
class TorchDevice:
    """One place to run, and what it is called."""

    kind: str
    """cpu, cuda or mps."""
    index: int
    label: str
    """Its maker's name for it."""

    @property
    def name(self) -> str:
        """As PyTorch spells it."""
        return f"cuda:{self.index}" if self.kind == "cuda" else self.kind

    @property
    def free_bytes(self) -> int | None:
        """Memory that a model may fill now; None where nobody tells."""
        free = _free_bytes(self)
        return None if free is None else int(USABLE * free)

    def synchroniser(self) -> Callable[[], None]:
        """Waits until everything that was started is done."""
        import torch

        if self.kind == "cuda":
            return lambda: torch.cuda.synchronize(self.index)
        if self.kind == "mps":
            return lambda: torch.mps.synchronize()
        return lambda: None


def torch_module() -> Any:
    """PyTorch. Raises ``MeasurementError`` where it is not installed."""
    try:
        import torch
    except ImportError:
        raise MeasurementError("--backend torch needs PyTorch: pip install 'dsd-plan[torch]'") from None
    return torch


def find_device(on: str) -> TorchDevice:
    """The device called ``on``: cpu, cuda, cuda:1 or mps. Raises ``MeasurementError`` listing those that are there."""
    there = devices()
    wanted = "cuda:0" if on == "cuda" else on
    for device in there:
        if device.name == wanted:
            return device
    torch = torch_module()
    listed = ", ".join(f"{device.name} ({device.label})" for device in there)
    advice = ""
    if wanted.startswith("cuda") and torch.version.cuda is None:
        advice = "; this PyTorch was built without CUDA: install one that has it"
    raise MeasurementError(f"--on {on}: PyTorch {torch.__version__} finds no such device; there are {listed}{advice}")


def devices() -> tuple[TorchDevice, ...]:
    """Every device that PyTorch can run on here, the processor first."""
    from dsd_plan.measure.machine import cpu_model

    torch = torch_module()
    found = [TorchDevice("cpu", 0, cpu_model())]
    if torch.cuda.is_available():
        found += [
            TorchDevice("cuda", index, torch.cuda.get_device_name(index)) for index in range(torch.cuda.device_count())
        ]
    if torch.backends.mps.is_available():
        found.append(TorchDevice("mps", 0, "Apple GPU"))
    return tuple(found)


def chosen_dtype(dtype: str | None, device: TorchDevice) -> Dtype:
    """The number format asked for, else the device's usual one. Raises ``MeasurementError`` for an unknown one."""
    if dtype is None:
        return DEFAULT_DTYPE[device.kind]
    for known in BYTES_OF:
        if dtype == known:
            return known
    raise MeasurementError(f"--dtype {dtype}: found no such number format; expected {', '.join(BYTES_OF)}")


def check_memory(model: str, needed_bytes: int, device: TorchDevice) -> None:
    """Raise ``MeasurementError``, saying how much is missing, before anything is built that does not fit."""
    free = device.free_bytes
    if free is None or needed_bytes <= free:
        return
    raise MeasurementError(
        f"{model}: weights and the smallest step need {needed_bytes / GIB:.2f} GiB, {free / GIB:.2f} GiB may be filled "
        f"on {device.name}, {(needed_bytes - free) / GIB:.2f} GiB are missing; measure some of the layers and have the "
        "rest scaled (--shape with --layers 2,4), or choose a smaller number format (--dtype bfloat16)"
    )


def torch_software() -> dict[str, str]:
    """Versions of PyTorch and of the libraries that it was built with."""
    torch = torch_module()
    found = {"torch": str(torch.__version__)}
    if torch.version.cuda is not None:
        found["cuda"] = str(torch.version.cuda)
    if getattr(torch.version, "hip", None) is not None:
        found["rocm"] = str(torch.version.hip)
    return found


def _free_bytes(device: TorchDevice) -> int | None:
    torch = torch_module()
    if device.kind == "cuda":
        return int(torch.cuda.mem_get_info(device.index)[0])
    if device.kind == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    free = [value for value in (available_memory_bytes(), container_free_bytes()) if value is not None]
    return min(free, default=None)


def container_free_bytes(root: str = "/") -> int | None:
    """What the control group of this process may still take; None where it has no limit."""
    for limit_file, used_file in MEMORY_LIMITS:
        try:
            limit = (Path(root) / limit_file.lstrip("/")).read_text(encoding="ascii").strip()
            used = (Path(root) / used_file.lstrip("/")).read_text(encoding="ascii").strip()
        except OSError:
            continue
        # Control groups 1 spell "no limit" as the largest multiple of a page below 2^63.
        if limit.isdigit() and used.isdigit() and int(limit) < 2**60:
            return max(0, int(limit) - int(used))
    return None
