"""Shapes of public models, as their published configurations have them."""

from __future__ import annotations

from pathlib import Path

from dsd_plan.errors import InputError
from dsd_plan.measure.torch_backend.shape import Dtype, ModelShape, shape_of_path


def _llama(
    name: str,
    layers: int,
    hidden: int,
    intermediate: int,
    heads: int,
    kv_heads: int,
    vocab: int,
    *,
    tied: bool = False,
    theta: float = 10_000.0,
    context: int = 2048,
    head_dim: int | None = None,
    qkv_bias: bool = False,
    qk_norm: bool = False,
    eps: float = 1e-5,
    dtype: Dtype = "bfloat16",
) -> ModelShape:
    return ModelShape(
        name=name,
        layers=layers,
        hidden=hidden,
        intermediate=intermediate,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=hidden // heads if head_dim is None else head_dim,
        vocab=vocab,
        rope_theta=theta,
        norm_eps=eps,
        tied_embeddings=tied,
        max_context=context,
        qkv_bias=qkv_bias,
        qk_norm=qk_norm,
        dtype=dtype,
    )


def _llama_3(
    name: str, layers: int, hidden: int, intermediate: int, heads: int, tied: bool, head_dim: int = 128
) -> ModelShape:
    return _llama(
        name,
        layers,
        hidden,
        intermediate,
        heads,
        8,
        128_256,
        tied=tied,
        theta=500_000.0,
        context=131_072,
        head_dim=head_dim,
    )


def _qwen_2(
    name: str, layers: int, hidden: int, intermediate: int, heads: int, kv_heads: int, vocab: int, tied: bool
) -> ModelShape:
    return _llama(
        name,
        layers,
        hidden,
        intermediate,
        heads,
        kv_heads,
        vocab,
        tied=tied,
        theta=1e6,
        context=32_768,
        qkv_bias=True,
        eps=1e-6,
    )


def _qwen_3(
    name: str, layers: int, hidden: int, intermediate: int, heads: int, vocab: int = 151_936, *, tied: bool
) -> ModelShape:
    return _llama(
        name,
        layers,
        hidden,
        intermediate,
        heads,
        8,
        vocab,
        tied=tied,
        theta=1e6,
        context=40_960,
        head_dim=128,
        qk_norm=True,
        eps=1e-6,
    )


SHAPES = {
    shape.name: shape
    for shape in (
        _llama("llama-68m", 2, 768, 3072, 12, 12, 32_000, eps=1e-6, dtype="float32"),
        _llama("llama-160m", 12, 768, 3072, 12, 12, 32_000, eps=1e-6, dtype="float32"),
        _llama("tinyllama-1.1b", 22, 2048, 5632, 32, 4, 32_000),
        _llama("llama-2-7b", 32, 4096, 11_008, 32, 32, 32_000, context=4096, dtype="float16"),
        _llama_3("llama-3.2-1b", 16, 2048, 8192, 32, tied=True, head_dim=64),
        _llama_3("llama-3.2-3b", 28, 3072, 8192, 24, tied=True),
        _llama_3("llama-3.1-8b", 32, 4096, 14_336, 32, tied=False),
        _llama_3("llama-3.1-70b", 80, 8192, 28_672, 64, tied=False),
        _llama("mistral-7b", 32, 4096, 14_336, 32, 8, 32_768, theta=1e6, context=32_768),
        _qwen_2("qwen2.5-0.5b", 24, 896, 4864, 14, 2, 151_936, tied=True),
        _qwen_2("qwen2.5-1.5b", 28, 1536, 8960, 12, 2, 151_936, tied=True),
        _qwen_2("qwen2.5-3b", 36, 2048, 11_008, 16, 2, 151_936, tied=True),
        _qwen_2("qwen2.5-7b", 28, 3584, 18_944, 28, 4, 152_064, tied=False),
        _qwen_2("qwen2.5-14b", 48, 5120, 13_824, 40, 8, 152_064, tied=False),
        _qwen_2("qwen2.5-32b", 64, 5120, 27_648, 40, 8, 152_064, tied=False),
        _qwen_2("qwen2.5-72b", 80, 8192, 29_568, 64, 8, 152_064, tied=False),
        _qwen_3("qwen3-0.6b", 28, 1024, 3072, 16, tied=True),
        _qwen_3("qwen3-8b", 36, 4096, 12_288, 32, tied=False),
        _qwen_3("qwen3-32b", 64, 5120, 25_600, 64, tied=False),
    )
}
"""By name: what is published, each with its number format and longest context."""


def model_shape(name_or_path: str) -> ModelShape:
    """The shape that a built-in name, a ``config.json`` or a folder with one describes.

    Raises ``InputError`` for a name that is none of them, and as `shape_of_path` does.
    """
    known = SHAPES.get(name_or_path.lower())
    if known is not None:
        return known
    path = Path(name_or_path)
    if path.exists():
        return shape_of_path(path)
    raise InputError(
        name_or_path,
        "no such shape, file or folder; built in are "
        + ", ".join(sorted(SHAPES))
        + "; of any other model name its config.json",
    )
