"""The dimensions of a decoder, from its published configuration; what its weights and its cache take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dsd_plan.errors import InputError, Problem

Dtype = Literal["float32", "bfloat16", "float16"]
BYTES_OF: Mapping[Dtype, int] = {"float32": 4, "bfloat16": 2, "float16": 2}

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""Values of ``model_type`` whose layers are RMSNorm, RoPE, grouped-query attention and SwiGLU."""
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """Dimensions of a decoder with RMSNorm, rotary positions, grouped-query attention and SwiGLU."""

    name: str
    layers: int
    hidden: int
    intermediate: int
    """Inner size of the gated feed-forward block."""
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-6
    tied_embeddings: bool = False
    max_context: int = 2048
    qkv_bias: bool = False
    """Whether queries, keys and values have biases, as in Qwen 2."""
    qk_norm: bool = False
    """Whether queries and keys are normalised by head, as in Qwen 3."""
    dtype: Dtype = "bfloat16"
    """Number format of the published weights."""

    def __post_init__(self) -> None:
        sizes = ("layers", "hidden", "intermediate", "heads", "kv_heads", "head_dim", "vocab", "max_context")
        problems = [
            Problem(name, f"found {getattr(self, name)}, expected at least 1")
            for name in sizes
            if getattr(self, name) < 1
        ]
        if not problems and self.heads % self.kv_heads:
            problems.append(Problem("heads", f"found {self.heads}, expected a multiple of kv_heads {self.kv_heads}"))
        if self.head_dim % 2:
            problems.append(Problem("head_dim", f"found {self.head_dim}, expected an even size (rotary pairs)"))
        if self.rope_theta <= 1.0:
            problems.append(Problem("rope_theta", f"found {self.rope_theta}, expected more than 1"))
        if problems:
            raise InputError(self.name, problems)

    @property
    def qkv_size(self) -> int:
        """Queries, keys and values of one token in one layer, numbers."""
        return (self.heads + 2 * self.kv_heads) * self.head_dim

    @property
    def layer_parameters(self) -> int:
        """Of one layer."""
        attention = self.hidden * self.qkv_size + self.heads * self.head_dim * self.hidden
        attention += self.qkv_size if self.qkv_bias else 0
        attention += 2 * self.head_dim if self.qk_norm else 0
        return attention + 3 * self.hidden * self.intermediate + 2 * self.hidden

    @property
    def parameters(self) -> int:
        """Embedding, layers, last norm, and the head where it is not the embedding."""
        embeddings = self.vocab * self.hidden * (1 if self.tied_embeddings else 2)
        return embeddings + self.layers * self.layer_parameters + self.hidden

    def weight_bytes(self, dtype: Dtype | None = None) -> int:
        """Memory of the weights in ``dtype``, else in the published one."""
        return self.parameters * BYTES_OF[dtype or self.dtype]

    def kv_bytes_per_token(self, dtype: Dtype | None = None) -> int:
        """Memory that one token adds to the cache: keys and values of all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim * BYTES_OF[dtype or self.dtype]

    def work_bytes(self, batch: int, new_tokens: int, context_tokens: int, answered: int, dtype: Dtype) -> int:
        """Estimate of a step's work space: activations of its widest block, logits, attention mask, spread keys.

        ``answered`` is how many tokens a sequence have their logits computed.
        """
        tokens, size = batch * new_tokens, BYTES_OF[dtype]
        activations = tokens * (4 * self.hidden + 3 * self.qkv_size + 4 * self.intermediate)
        logits = batch * answered * self.vocab
        length = context_tokens + new_tokens
        spread = 2 * batch * length * self.heads * self.head_dim
        return size * (activations + logits + spread) + new_tokens * length * (self.heads // self.kv_heads)

    def with_layers(self, layers: int) -> ModelShape:
        """The same with this many layers, under the same name."""
        return replace(self, layers=layers)


def shape_of_path(path: Path) -> ModelShape:
    """From a ``config.json``, or the folder that it lies in, whose name is the model's. Raises ``InputError``."""
    file = path / "config.json" if path.is_dir() else path
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except OSError as failure:
        reason = (failure.strerror or str(failure)).lower()
        raise InputError(str(file), f"cannot be read: {reason}; name a config.json or its folder") from None
    except ValueError as failure:
        raise InputError(str(file), f"is not JSON: {failure}; name a model's config.json") from None
    if not isinstance(config, dict):
        raise InputError(str(file), "expected a JSON object; name a model's config.json")
    resolved = file.resolve()
    name = resolved.parent.name if resolved.name == "config.json" else resolved.stem
    return shape_of_config(config, name, str(file))


def shape_of_config(config: Mapping[str, Any], name: str, place: str) -> ModelShape:
    """From a Hugging Face configuration. Raises ``InputError`` with every problem found.

    Refused are other architectures than `FAMILIES`, mixtures of experts, quantised weights and biases where the
    families have none: their steps are other steps.
    """
    problems = [*_refused(config)]
    sizes: dict[str, int] = {}
    for key in ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "vocab_size"):
        found = config.get(key)
        if isinstance(found, bool) or not isinstance(found, int):
            problems.append(Problem(key, f"found {found!r}, expected a whole number"))
        else:
            sizes[key] = found
    written = config.get("dtype", config.get("torch_dtype")) or "float32"
    dtype = next((known for known in BYTES_OF if known == written), None)
    if dtype is None:
        problems.append(Problem("dtype", f"found {written!r}, expected {', '.join(BYTES_OF)}"))
    if problems or dtype is None:
        raise InputError(place, problems)
    heads = sizes["num_attention_heads"]
    family = config["model_type"]
    return ModelShape(
        name=name,
        layers=sizes["num_hidden_layers"],
        hidden=sizes["hidden_size"],
        intermediate=sizes["intermediate_size"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or sizes["hidden_size"] // max(heads, 1),
        vocab=sizes["vocab_size"],
        rope_theta=_rope_theta(config),
        norm_eps=float(config.get("rms_norm_eps", 1e-6)),
        tied_embeddings=bool(config.get("tie_word_embeddings", False)),
        max_context=_max_context(config),
        qkv_bias=family == "qwen2",
        qk_norm=family == "qwen3",
        dtype=dtype,
    )


def _refused(config: Mapping[str, Any]) -> list[Problem]:
    family = config.get("model_type")
    experts = [key for key in EXPERTS if (config.get(key) or 0) > 1]
    if experts or (isinstance(family, str) and ("moe" in family or family == "mixtral")):
        key = experts[0] if experts else "model_type"
        return [
            Problem(
                key,
                f"found {config[key]!r}: a mixture of experts, whose steps depend on which experts tokens choose; "
                "give --model with its folder, which runs the real model",
            )
        ]
    if family not in FAMILIES:
        return [
            Problem(
                "model_type",
                f"found {family!r}, supported are {', '.join(FAMILIES)}; give --model with its folder, "
                "which runs the real model",
            )
        ]
    problems = []
    if config.get("quantization_config"):
        problems.append(
            Problem("quantization_config", "quantised weights run on other kernels; give --model with its folder")
        )
    problems += [
        Problem(key, "found true, expected false: such biases are not built; give --model with its folder")
        for key in ("mlp_bias", "attention_bias")
        if config.get(key)
    ]
    return problems


def _rope_theta(config: Mapping[str, Any]) -> float:
    rope = config.get("rope_parameters")
    found = rope.get("rope_theta") if isinstance(rope, dict) else None
    return float(config.get("rope_theta") or found or 10_000.0)


def _max_context(config: Mapping[str, Any]) -> int:
    """Up to the sliding window, where there is one: beyond it layers read less than the whole context."""
    longest = int(config.get("max_position_embeddings") or 2048)
    window = config.get("sliding_window")
    # Qwen 2 and 3 name a window and leave it unused unless they say so.
    used = config.get("use_sliding_window", config.get("model_type") == "mistral")
    return min(longest, int(window)) if window and used else longest
