"""Time any causal language model that transformers can load from a local folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dsd_plan.errors import MeasurementError
from dsd_plan.measure.steps.grid import GridPoint
from dsd_plan.measure.torch_backend.cache import KvLayer, KvPool
from dsd_plan.measure.torch_backend.device import TorchDevice, check_memory, torch_module, torch_software
from dsd_plan.measure.torch_backend.shape import BYTES_OF, Dtype

Details = dict[str, str | float | int | bool | None]
Tensor = Any

WEIGHT_FILES = "*.safetensors"
"""Where weights are. Pickled ones (``*.bin``) are refused: reading a pickle may run what is in it."""
UNKNOWN_CONTEXT = 2048
"""For a model whose configuration names no longest context."""
WORK_PER_WEIGHT = 0.05
"""Work space of the smallest step, as a share of the weights."""


class TransformersRunner:
    """A local model, as transformers runs it: eagerly, over a static cache that keeps the context as asked.

    A model whose layers a static cache cannot hold runs over transformers' dynamic cache, cropped back after every
    step; the details say which.
    """

    backend = "transformers"

    def __init__(self, folder: Path, dtype: Dtype, device: TorchDevice, seed: int = 0) -> None:
        """Load ``folder``; nothing is fetched and no code in it is run.

        Raises ``MeasurementError`` without transformers, for a folder that it cannot load, and for weights that do not
        fit the memory.
        """
        torch = torch_module()
        transformers = _transformers()
        check_memory(str(folder), _weight_bytes(folder, dtype), device)
        free = device.free_bytes
        loaded = _loaded(transformers, folder, dtype, device)
        self.model = folder.resolve().name
        self.precision: str = dtype
        self.cpu_bound = device.kind == "cpu"
        self.memory_limit_bytes = free
        self.software = torch_software() | {"transformers": str(transformers.__version__)}
        config = loaded.config.get_text_config(decoder=True)
        self.max_context = int(getattr(config, "max_position_embeddings", None) or UNKNOWN_CONTEXT)
        self.weight_bytes = sum(int(p.numel() * p.element_size()) for p in loaded.parameters())
        self._parameters = sum(int(p.numel()) for p in loaded.parameters())
        self._config = config
        self._loaded: Any = loaded
        self._device = device
        self._dtype: Dtype = dtype
        self._seed = seed
        self._synchronise = device.synchroniser()
        self._static_cache = transformers.StaticCache
        self._dynamic_cache = transformers.DynamicCache
        self._device_name = device.name
        self._torch = torch
        layers, self._why_dynamic = self._probed()
        self._pool = KvPool(layers, dtype, device, seed)
        self.kv_bytes_per_token = self._pool.bytes_per_token

    @property
    def details(self) -> Details:
        """The architecture, and how steps are run."""
        return {
            "on": self._device.name,
            "device_label": self._device.label,
            "torch_threads": int(self._torch.get_num_threads()),
            "weights": "loaded",
            "parameters": self._parameters,
            "architecture": type(self._loaded).__name__,
            "attention": str(getattr(self._config, "_attn_implementation", "unknown")),
            "cache": "static" if self._why_dynamic is None else f"dynamic, cropped: {self._why_dynamic}",
            "logits": "of all new tokens; of a prefill's last; the likeliest token is picked",
            "cuda_graphs": None,
        }

    def memory_bytes(self, point: GridPoint) -> int:
        """Weights, cache and work space; a dynamic cache is copied while it grows."""
        size = BYTES_OF[self._dtype]
        config = self._config
        tokens = point.batch * point.new_tokens
        answered = point.batch if point.phase == "prefill" else tokens
        hidden = int(getattr(config, "hidden_size", 0))
        inner = int(getattr(config, "intermediate_size", None) or 4 * hidden)
        work = size * (tokens * (16 * hidden + 4 * inner) + answered * int(getattr(config, "vocab_size", 0)))
        length = point.batch * (point.context_tokens + point.new_tokens)
        copies = 1 if self._why_dynamic is None else 3
        return self.weight_bytes + work + copies * length * self.kv_bytes_per_token

    def prepared(self, point: GridPoint) -> Callable[[], None]:
        """One forward pass; the cache is set back to the context before it."""
        torch = self._torch
        generator = torch.Generator().manual_seed(self._seed)
        shape = (point.batch, point.new_tokens)
        tokens = torch.randint(int(self._config.vocab_size), shape, generator=generator).to(self._device_name)
        keep = 1 if point.phase == "prefill" else 0
        set_back = self._static(point) if self._why_dynamic is None else self._dynamic(point)
        model, synchronise = self._model(), self._synchronise

        def step() -> None:
            with torch.inference_mode():
                model(tokens, past_key_values=set_back(), use_cache=True, logits_to_keep=keep).logits.argmax(dim=-1)
            synchronise()

        return step

    def close(self) -> None:
        """Forget weights and cache."""
        self._loaded = None
        self._pool.clear()

    def _static(self, point: GridPoint) -> Callable[[], Any]:
        """A cache as long as the step needs, its memory a view of the pool."""
        length = point.context_tokens + point.new_tokens
        with self._torch.inference_mode():
            cache = self._static_cache(config=self._config, max_cache_len=length)
            for layer, (keys, values) in zip(cache.layers, self._pool.views(point.batch, length), strict=True):
                # Initialised for one token, then pointed to the pool: nothing is allocated for a visit.
                layer.max_cache_len = 1
                layer.lazy_initialization(keys[:, :, :1], values[:, :, :1])
                layer.max_cache_len = length
                layer.keys, layer.values = keys, values

        def set_back() -> Any:
            for layer in cache.layers:
                layer.cumulative_length.fill_(point.context_tokens)
            return cache

        return set_back

    def _dynamic(self, point: GridPoint) -> Callable[[], Any]:
        """A cache filled by the model itself; each step starts from its context."""
        model, torch = self._model(), self._torch
        cache = self._dynamic_cache(config=self._config)
        if point.context_tokens:
            with torch.inference_mode():
                context = torch.zeros((point.batch, point.context_tokens), dtype=torch.long, device=self._device_name)
                model(context, past_key_values=cache, use_cache=True, logits_to_keep=1)

        def set_back() -> Any:
            if not point.context_tokens:
                return self._dynamic_cache(config=self._config)
            if cache.get_seq_length() > point.context_tokens:
                cache.crop(point.context_tokens - cache.get_seq_length())
            return cache

        return set_back

    def _probed(self) -> tuple[tuple[KvLayer, ...], str | None]:
        """What every layer caches, from one token's step; and why no static cache serves, None where it does."""
        torch = self._torch
        tokens = torch.zeros((1, 1), dtype=torch.long, device=self._device_name)
        why_not = None
        try:
            with torch.inference_mode():
                cache = self._static_cache(config=self._config, max_cache_len=2)
                self._loaded(tokens, past_key_values=cache, use_cache=True)
            kinds = {type(layer).__name__ for layer in cache.layers}
            if kinds != {"StaticLayer"}:
                why_not = f"layers of {', '.join(sorted(kinds))}"
        except (KeyError, TypeError, ValueError, AttributeError, NotImplementedError) as failure:
            why_not = f"{type(failure).__name__} from the static cache"
        if why_not is not None:
            with torch.inference_mode():
                cache = self._dynamic_cache(config=self._config)
                self._loaded(tokens, past_key_values=cache, use_cache=True)
        found = []
        for layer in cache.layers:
            keys, values = getattr(layer, "keys", None), getattr(layer, "values", None)
            if keys is not None and values is not None and keys.dim() == 4:
                found.append(KvLayer(int(keys.shape[1]), int(keys.shape[-1]), int(values.shape[-1])))
        return tuple(found), why_not

    def _model(self) -> Any:
        if self._loaded is None:
            raise MeasurementError(f"{self.model}: was closed; build its runner again")
        return self._loaded


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise MeasurementError("--model needs transformers: pip install 'dsd-plan[torch]'") from None
    return transformers


def _loaded(transformers: Any, folder: Path, dtype: Dtype, device: TorchDevice) -> Any:
    from safetensors import SafetensorError

    torch = torch_module()
    transformers.utils.logging.disable_progress_bar()
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=getattr(torch, dtype)
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as failure:
        reason = (str(failure).splitlines() or [type(failure).__name__])[0]
        raise MeasurementError(
            f"{folder}: transformers {transformers.__version__} cannot load it as a causal language model: {reason}"
        ) from failure
    return model.to(device.name).eval()


def _weight_bytes(folder: Path, dtype: Dtype) -> int:
    """Memory of the weights once loaded, and of the smallest step. Raises ``MeasurementError`` for no model folder."""
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise MeasurementError(
            f"{folder}: has no config.json; name the folder of a model that transformers can load, or give --shape"
        )
    files = sorted(folder.glob(WEIGHT_FILES))
    if not files:
        raise MeasurementError(
            f"{folder}: has no weights ({WEIGHT_FILES}); --shape {folder} runs its shape with random ones"
        )
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as failure:
        raise MeasurementError(f"{config_file}: cannot be read: {failure}") from None
    stored = config.get("dtype", config.get("torch_dtype")) if isinstance(config, dict) else None
    stored_size = next((size for known, size in BYTES_OF.items() if known == stored), None)
    on_disk = sum(file.stat().st_size for file in files)
    ratio = BYTES_OF[dtype] / stored_size if stored_size is not None else 1.0
    return int((1.0 + WORK_PER_WEIGHT) * ratio * on_disk)
