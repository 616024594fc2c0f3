"""Runners of the torch backend: a shape with random weights, whole or in slices, or a model folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dsd_plan.errors import MeasurementError
from dsd_plan.measure.steps.grid import GridPoint
from dsd_plan.measure.steps.runner import Runner
from dsd_plan.measure.steps.slicing import LAYERS, LAYERS_OF_MODEL, MODEL, Depths, check_depths
from dsd_plan.measure.torch_backend.cache import KvLayer, KvPool
from dsd_plan.measure.torch_backend.device import (
    TorchDevice,
    check_memory,
    chosen_dtype,
    find_device,
    torch_module,
    torch_software,
)
from dsd_plan.measure.torch_backend.graphs import CudaGraphs
from dsd_plan.measure.torch_backend.llama import TorchLlama, greedy, place_of, random_llama
from dsd_plan.measure.torch_backend.shape import Dtype, ModelShape
from dsd_plan.measure.torch_backend.shapes import model_shape

Details = dict[str, str | float | int | bool | None]

CHECKED_ON_CPU = 2_000_000_000
"""Parameters up to which a sliced model that fits is also measured whole on a processor, where it takes long."""
SMALLEST = GridPoint("decode", 1, 1, 16)


def torch_runners(
    model: Path | None,
    shape: str | None,
    dtype: str | None = None,
    on: str = "cpu",
    layers: Depths | None = None,
    threads: int = 1,
    *,
    check: bool | None = None,
    seed: int = 0,
) -> tuple[Runner, ...]:
    """Runners that belong together: one of a whole model; of ``layers``, its slices, and the whole where that fits.

    ``model`` is a local folder that transformers can load; ``shape`` a built-in name, a ``config.json`` or its folder,
    built with random weights. Slices are of the shape, be it of a folder. ``dtype`` None is the device's usual one;
    ``on`` is cpu, cuda, cuda:N or mps. ``check`` says whether sliced models are measured whole too; None: where the
    whole fits, and on a processor has no more than two billion parameters.

    Raises ``MeasurementError`` without PyTorch, for a device that is not there, for what does not fit its memory, and
    for depths that no model can be scaled from; ``InputError`` for shapes and folders that cannot be read.
    """
    if (model is None) == (shape is None):
        raise MeasurementError("expected a model folder or a shape, one of them")
    torch = torch_module()
    device = find_device(on)
    torch.set_num_threads(threads)
    chosen = chosen_dtype(dtype, device)
    if model is not None and layers is None:
        from dsd_plan.measure.torch_backend.transformers import TransformersRunner

        return (TransformersRunner(model, chosen, device, seed),)
    found = model_shape(str(model) if shape is None else shape)
    if layers is None:
        return (LlamaRunner(_built(found, chosen, device, seed), found, chosen, device, seed=seed),)
    check_depths(found.name, layers, found.layers)
    return _slices(found, layers, chosen, device, check, seed)


def _slices(
    shape: ModelShape, depths: Depths, dtype: Dtype, device: TorchDevice, check: bool | None, seed: int
) -> tuple[Runner, ...]:
    """All slices are views of the deepest model built: no layer is held twice."""
    why_not = _why_unchecked(shape, dtype, device, check)
    deepest = shape.layers if why_not is None else depths[1]
    built = _built(shape.with_layers(deepest), dtype, device, seed)
    pool = _pool(built.shape, dtype, device, seed)
    counts = (*depths, shape.layers) if why_not is None else depths
    told: Details = {"slicing_check": why_not or "the whole model, measured in the same rounds"}
    return tuple(
        LlamaRunner(built.first_layers(count), shape, dtype, device, pool=pool, held=built, told=told)
        for count in counts
    )


def _why_unchecked(shape: ModelShape, dtype: Dtype, device: TorchDevice, check: bool | None) -> str | None:
    if check is False:
        return "not asked for"
    free = device.free_bytes
    needed = needed_bytes(shape, dtype, SMALLEST)
    if free is not None and needed > free:
        if check:
            check_memory(shape.name, needed, device)
        return "none: the whole model does not fit"
    if check is None and device.kind == "cpu" and shape.parameters > CHECKED_ON_CPU:
        return f"none: {shape.parameters / 1e9:.1f} billion parameters take long on a processor"
    return None


def needed_bytes(shape: ModelShape, dtype: Dtype, point: GridPoint) -> int:
    """Weights, cache and work space of a step."""
    length = point.context_tokens + point.new_tokens
    cache = point.batch * length * shape.kv_bytes_per_token(dtype)
    answered = 1 if point.phase == "prefill" else point.new_tokens
    work = shape.work_bytes(point.batch, point.new_tokens, point.context_tokens, answered, dtype)
    return shape.weight_bytes(dtype) + cache + work


def _built(shape: ModelShape, dtype: Dtype, device: TorchDevice, seed: int) -> TorchLlama:
    check_memory(shape.name, needed_bytes(shape, dtype, SMALLEST), device)
    return random_llama(shape, dtype, device, seed)


def _pool(shape: ModelShape, dtype: Dtype, device: TorchDevice, seed: int) -> KvPool:
    layer = KvLayer(shape.kv_heads, shape.head_dim, shape.head_dim)
    return KvPool((layer,) * shape.layers, dtype, device, seed)


class LlamaRunner:
    """Some or all layers of a shape with random weights."""

    backend = "torch"

    def __init__(
        self,
        llama: TorchLlama,
        whole: ModelShape,
        dtype: Dtype,
        device: TorchDevice,
        *,
        pool: KvPool | None = None,
        held: TorchLlama | None = None,
        told: Details | None = None,
        seed: int = 0,
    ) -> None:
        """``whole`` is the model that ``llama`` has some layers of; ``held`` what is in memory, if that is more."""
        shape = llama.shape
        sliced = shape.layers < whole.layers
        self.model = f"{whole.name}-{shape.layers}-layers" if sliced else whole.name
        self.precision: str = dtype
        self.max_context = shape.max_context
        self.weight_bytes = llama.weight_bytes
        self.cpu_bound = device.kind == "cpu"
        self.software = torch_software()
        self._held = held or llama
        self._pool = _pool(shape, dtype, device, seed) if pool is None else pool
        self.kv_bytes_per_token = self._pool.bytes_per_token * shape.layers // self._held.shape.layers
        free = device.free_bytes
        self.memory_limit_bytes = None if free is None else free + self._held.weight_bytes
        self._llama: TorchLlama | None = llama
        self._layers = shape.layers
        self._whole = whole
        self._dtype: Dtype = dtype
        self._device = device
        self._told = told or {}
        self._seed = seed
        self._graphs = CudaGraphs(device) if device.kind == "cuda" else None
        if self._graphs is not None:
            self._pool.before_growing.append(self._graphs.clear)
        self._synchronise = device.synchroniser()

    @property
    def details(self) -> Details:
        """The shape, and how steps are run."""
        shape = self._held.shape
        found: Details = {
            "on": self._device.name,
            "device_label": self._device.label,
            "torch_threads": int(torch_module().get_num_threads()),
            "weights": "random",
            "parameters": self._whole.parameters,
            LAYERS: self._layers,
            LAYERS_OF_MODEL: self._whole.layers,
            MODEL: self._whole.name,
            "hidden": shape.hidden,
            "intermediate": shape.intermediate,
            "heads": shape.heads,
            "kv_heads": shape.kv_heads,
            "head_dim": shape.head_dim,
            "vocab": shape.vocab,
            "attention": "scaled_dot_product_attention over a contiguous cache in place",
            "logits": "of all new tokens; of a prefill's last; the likeliest token is picked",
            "cuda_graphs": None,
        }
        if self._graphs is not None:
            found["cuda_graphs"] = "decode and verify steps"
            found["cuda_graphs_failed"] = self._graphs.failed
            found["cuda_graphs_failure"] = self._graphs.first_failure
        return found | self._told

    def memory_bytes(self, point: GridPoint) -> int:
        """Weights that are held, cache and work space."""
        shape = self._held.shape.with_layers(self._layers)
        own = needed_bytes(shape, self._dtype, point) - shape.weight_bytes(self._dtype)
        # The cache is shared by all slices, and as long as the deepest's.
        length = point.batch * (point.context_tokens + point.new_tokens)
        own += length * (self._pool.bytes_per_token - self.kv_bytes_per_token)
        return self._held.weight_bytes + own

    def prepared(self, point: GridPoint) -> Callable[[], None]:
        """A graph replay where a decode step could be captured; it returns when the device is done."""
        torch = torch_module()
        llama = self._built()
        context, new = point.context_tokens, point.new_tokens
        cache = self._pool.views(point.batch, context + new)
        synchronise = self._synchronise

        def step_of() -> Callable[[], Any]:
            place = place_of(llama.shape, context, new, self._dtype, self._device)
            generator = torch.Generator().manual_seed(self._seed)
            tokens = torch.randint(llama.shape.vocab, (point.batch, new), generator=generator)
            tokens = tokens.to(self._device.name)
            last_only = point.phase == "prefill"
            return greedy(lambda: llama.forward(tokens, context, cache, place, last_only))

        with torch.inference_mode():
            step: Callable[[], object] = step_of()
            if self._graphs is not None and point.phase == "decode":
                step = self._graphs.captured(point, step)

        def done() -> None:
            with torch.inference_mode():
                step()
            synchronise()

        return done

    def close(self) -> None:
        """Forget weights and cache."""
        self._llama = None
        if self._graphs is not None:
            self._graphs.clear()
        self._pool.clear()

    def _built(self) -> TorchLlama:
        if self._llama is None:
            raise MeasurementError(f"{self.model}: was closed; build its runner again")
        return self._llama
