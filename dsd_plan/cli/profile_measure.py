"""From the options of `profile device` to profiles on disk: what is measured, what is kept, what is usage."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dsd_plan.cli.terminal import OnProgress, warn
from dsd_plan.errors import InputError, MeasurementError

if TYPE_CHECKING:
    from dsd_plan.domain.profile import LatencyProfile
    from dsd_plan.measure.power.find import PowerMeter
    from dsd_plan.measure.steps.grid import Grid
    from dsd_plan.measure.steps.partial import Partial
    from dsd_plan.measure.steps.profile import Settings
    from dsd_plan.measure.steps.runner import Runner

Axes = dict[str, tuple[int, ...]]

BACKENDS_OF = {
    "--model": ("torch", "llama.cpp"),
    "--shape": ("torch",),
    "--layers": ("torch",),
    "--dtype": ("torch",),
    "--on": ("torch",),
    "--binaries": ("llama.cpp",),
    "--gpu-layers": ("llama.cpp",),
}
"""Options that only some backends have."""

NOT_OF_LLAMA_CPP = ("--resume", "--sustain", "--energy")
"""llama.cpp's own programs do the timing, one process a run: they neither keep on stepping nor can be taken up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of one command."""

    folder: Path
    device: str
    backend: str = "numpy"
    model: Path | None = None
    shape: str | None = None
    layers: str | None = None
    dtype: str | None = None
    on: str | None = None
    binaries: Path | None = None
    gpu_layers: int | None = None
    grid: str = "full"
    axes: Axes | None = None
    budget_s: float = 270.0
    threads: int = 1
    allow_contention: bool = False
    resume: bool = False
    sustain_s: float | None = None
    power: str = "auto"
    energy: bool = False
    active_w: float | None = None
    idle_w: float | None = None
    seed: int = 0


def device_profiles(asked: Asked, on_progress: OnProgress) -> tuple[tuple[Path, LatencyProfile], ...]:
    """Measure, and write every profile. Raises typer.BadParameter, MeasurementError, InputError."""
    from dsd_plan.files import write_profile

    check_usage(asked)
    check_writable(asked.folder)
    if asked.backend == "llama.cpp":
        profiles: Sequence[LatencyProfile] = (_of_llama_cpp(asked, on_progress),)
        partials: list[Path] = []
    else:
        profiles, partials = _of_runners(asked, on_progress)
    written = []
    for profile in profiles:
        path = asked.folder / f"{profile.model}.json"
        write_profile(path, profile)
        written.append((path, profile))
    for partial in partials:
        partial.unlink(missing_ok=True)
    return tuple(written)


def _of_runners(asked: Asked, on_progress: OnProgress) -> tuple[Sequence[LatencyProfile], list[Path]]:
    from dsd_plan.measure.steps.profile import profile_together

    profiles: list[LatencyProfile] = []
    groups = runners_of(asked)
    partials = [asked.folder / f"{group[0].model}.partial.json" for group in groups]
    unfinished = _unfinished(asked, partials)
    with energy_meter(asked) as meter:
        for group, path in zip(groups, partials, strict=True):
            try:
                found = profile_together(
                    group,
                    settings_of(asked, group, meter),
                    on_progress=on_progress,
                    on_partial=_keeper(path),
                    resume=unfinished.get(path),
                )
            finally:
                for runner in group:
                    runner.close()
            profiles += found if asked.layers is None else [_scaled(found)]
    return profiles, partials


def doubts(profile: LatencyProfile) -> Iterator[str]:
    """What a user must hear of a measurement that did not get all it wanted."""
    method = profile.method or {}
    if unsure := method.get("points_over_3_percent"):
        yield (
            f"{unsure} of {len(profile.points)} medians are not known to 3 %; "
            "give more time (--budget-s), or fewer points (--batch, --new-tokens, --context)"
        )
    if left_out := method.get("points_left_out_for_time"):
        yield f"{left_out} points would have taken too long and were left out; give more time, or smaller axes"
    if left_out := method.get("points_left_out_for_memory"):
        yield f"{left_out} points do not fit the memory and were left out; give smaller axes"


def runners_of(asked: Asked) -> tuple[tuple[Runner, ...], ...]:
    """Models to measure, in groups: those of one group are measured in the same rounds."""
    if asked.backend == "numpy":
        from dsd_plan.measure.acceptance.record import bundled_pair
        from dsd_plan.measure.steps.runner import TransformerRunner

        pair = bundled_pair()
        return (TransformerRunner(pair.target, pair.target_name),), (TransformerRunner(pair.draft, pair.draft_name),)
    from dsd_plan.measure.torch_backend.runners import torch_runners

    layers = None if asked.layers is None else _two_depths(asked.layers)
    return (torch_runners(asked.model, asked.shape, asked.dtype, asked.on or "cpu", layers, asked.threads),)


def settings_of(asked: Asked, group: Sequence[Runner], meter: PowerMeter | None) -> Settings:
    """How a group is measured."""
    from dsd_plan.measure.steps.energy import Declared
    from dsd_plan.measure.steps.profile import Settings

    return Settings(
        device=asked.device,
        grid=grid_of(asked, min(runner.max_context for runner in group), accelerator=not group[0].cpu_bound),
        budget_s=asked.budget_s,
        threads=asked.threads,
        seed=asked.seed,
        allow_contention=asked.allow_contention,
        sustain_s=asked.sustain_s,
        meter=meter,
        energy_of_all=asked.energy,
        declared=Declared(idle_w=asked.idle_w, active_w=asked.active_w),
    )


def grid_of(asked: Asked, max_context: int, *, accelerator: bool) -> Grid:
    """The level's grid for a model of this context, with the axes that were given."""
    from dsd_plan.measure.steps.grid import grid_for, with_axes

    grid = grid_for("quick" if asked.grid == "quick" else "full", max_context, accelerator=accelerator)
    return with_axes(grid, **(asked.axes or {}))


def _of_llama_cpp(asked: Asked, on_progress: OnProgress) -> LatencyProfile:
    from dsd_plan.measure.llama_cpp.profile import profile_llama_cpp

    profile = profile_llama_cpp(
        asked.model or Path(),  # check_usage has seen that there is one
        device=asked.device,
        grid=replace(grid_of(asked, LLAMA_CPP_CONTEXT, accelerator=False), prefill_context_tokens=()),
        budget_s=asked.budget_s,
        threads=asked.threads,
        binaries=asked.binaries,
        gpu_layers=asked.gpu_layers,
        seed=asked.seed,
        allow_contention=asked.allow_contention,
        on_progress=on_progress,
    )
    if asked.active_w is None and asked.idle_w is None:
        return profile
    return replace(profile, active_w=asked.active_w, idle_w=asked.idle_w, power_source="declared")


LLAMA_CPP_CONTEXT = 4096
"""Longest context that a level's grid goes to; --context goes further."""


def _scaled(found: Sequence[LatencyProfile]) -> LatencyProfile:
    from dsd_plan.measure.steps.slicing import scaled_profile

    shallow, deep, *whole = found
    return scaled_profile(shallow, deep, *whole)


@contextmanager
def energy_meter(asked: Asked) -> Iterator[PowerMeter | None]:
    """What counts energy, or None. Raises MeasurementError where --energy finds nothing that does."""
    if asked.active_w is not None or asked.idle_w is not None or asked.power == "none":
        yield None
        return
    from dsd_plan.measure.power.find import find_meter

    kinds = {"auto": "auto", "nvml": "nvml", "rapl": "rapl"}
    missing: list[str] = []
    meter = find_meter(kinds[asked.power], gpu_index(asked.on), on_absent=missing.append)  # type: ignore[arg-type]
    if meter is None and asked.energy:
        raise MeasurementError(f"--energy: nothing counts energy here: {'; '.join(missing)}")
    try:
        yield meter
    finally:
        if meter is not None:
            meter.close()


def gpu_index(on: str | None) -> int | None:
    """Which GPU steps run on; None where none does."""
    if on is None or not on.startswith("cuda"):
        return None
    _, _, index = on.partition(":")
    return int(index) if index.isdigit() else 0


def _keeper(path: Path) -> Callable[[Partial], None]:
    from dsd_plan.files import write_json

    def keep(partial: Partial) -> None:
        write_json(path, partial.body())

    return keep


def _unfinished(asked: Asked, partials: Sequence[Path]) -> dict[Path, Partial]:
    """What broke off, by file. Raises MeasurementError where --resume finds nothing."""
    from dsd_plan.files.reading import json_of, read_file
    from dsd_plan.measure.steps.partial import partial_of

    there = [path for path in partials if path.is_file()]
    if not asked.resume:
        for path in there:
            warn(f"{path}: an unfinished measurement is begun anew; --resume would have gone on with it")
        return {}
    if not there:
        raise MeasurementError(
            f"--resume: {partials[0]}: no such file; nothing was broken off: measure without --resume"
        )
    return {path: partial_of(json_of(read_file(path, InputError), InputError), str(path)) for path in there}


def check_writable(folder: Path) -> None:
    """Raise InputError where nothing can be written into ``folder``: before measuring, not after."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as failure:
        reason = (failure.strerror or str(failure)).lower()
        raise InputError(str(folder), f"cannot be written: {reason}; choose another folder with -o") from None


def check_usage(asked: Asked) -> None:
    """Raise typer.BadParameter for options that do not go together: none is ignored."""
    given = {
        "--model": asked.model,
        "--shape": asked.shape,
        "--layers": asked.layers,
        "--dtype": asked.dtype,
        "--on": asked.on,
        "--binaries": asked.binaries,
        "--gpu-layers": asked.gpu_layers,
        "--resume": asked.resume or None,
        "--sustain": asked.sustain_s,
        "--energy": asked.energy or None,
    }
    problems = [
        f"{option} is for --backend {' or '.join(backends)}, not {asked.backend}"
        for option, backends in BACKENDS_OF.items()
        if given[option] is not None and asked.backend not in backends
    ]
    declared = asked.active_w is not None or asked.idle_w is not None
    if asked.backend == "llama.cpp":
        problems += [f"{option} is not for --backend llama.cpp" for option in NOT_OF_LLAMA_CPP if given[option]]
        if asked.model is None:
            problems.append("--backend llama.cpp needs --model FILE.gguf")
        if asked.power in ("nvml", "rapl"):
            problems.append(f"--power {asked.power} is not for --backend llama.cpp; give --active-w and --idle-w")
    if asked.backend == "torch" and (asked.model is None) == (asked.shape is None):
        problems.append("--backend torch needs --model FOLDER or --shape NAME, one of them")
    if declared and (asked.power in ("nvml", "rapl") or asked.energy):
        problems.append("--active-w and --idle-w declare what --power and --energy would measure; keep one")
    if asked.energy and asked.power == "none":
        problems.append("--energy needs something that counts it: leave --power none out")
    if asked.layers is not None:
        _two_depths(asked.layers)
    if problems:
        raise typer.BadParameter("; ".join(problems))


def _two_depths(written: str) -> tuple[int, int]:
    depths = whole_numbers("--layers", written)
    if len(depths) != 2 or depths[0] >= depths[1]:
        raise typer.BadParameter(f"--layers: found {written!r}, expected two rising depths, as 2,4")
    return depths[0], depths[1]


def axes_of(**written: str | None) -> Axes:
    """Axes as given on the command line: `--batch 1,2,8`. Raises typer.BadParameter."""
    return {
        axis: whole_numbers(f"--{axis.replace('_', '-')}", text, least=0 if axis == "context" else 1)
        for axis, text in written.items()
        if text is not None
    }


def whole_numbers(option: str, written: str, least: int = 1) -> tuple[int, ...]:
    """Whole numbers between commas. Raises typer.BadParameter."""
    parts = [part.strip() for part in written.split(",")]
    if not all(part.isdigit() and int(part) >= least for part in parts):
        raise typer.BadParameter(f"{option}: found {written!r}, expected whole numbers from {least}, as 1,2,8")
    return tuple(int(part) for part in parts)


def seconds_of(option: str, written: str) -> float:
    """`30s`, `10m`, `1h` or plain seconds. Raises typer.BadParameter."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", written.strip())
    seconds = 0.0 if found is None else float(found[1]) * {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}[found[2]]
    if seconds <= 0.0:
        raise typer.BadParameter(f"{option}: found {written!r}, expected a time, as 30s, 10m or 600")
    return seconds
