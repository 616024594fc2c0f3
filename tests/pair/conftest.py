"""Tiny random models, small enough to enumerate what they can say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from dsd_plan.pair.shape import ModelShape
from dsd_plan.pair.transformer import Transformer

TINY = ModelShape(vocab=11, width=16, layers=2, heads=4, kv_heads=2, ffn=24, max_context=48)

MakeModel = Callable[..., Transformer]


def random_tensors(shape: ModelShape, seed: int, spread: float = 1.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, (rows, columns) in shape.tensors().items():
        if rows == 1:
            tensors[name] = rng.uniform(0.5, 1.5, columns).astype(np.float32)
        else:
            tensors[name] = (rng.normal(size=(rows, columns)) * spread / np.sqrt(columns)).astype(np.float32)
    return tensors


@pytest.fixture(scope="session")
def make_model() -> MakeModel:
    def make(seed: int = 0, shape: ModelShape = TINY, spread: float = 1.0) -> Transformer:
        return Transformer(shape, random_tensors(shape, seed, spread))

    return make
