"""Weights as they are stored: int8 with one scale a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCALE_SUFFIX = ".scale"


def quantise(tensors: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
    """Every matrix as int8 rows with ``name.scale`` float32[rows]; one-row tensors (gains) stay float32.

    Row r is ``scale[r] * int8[r]``; the largest magnitude of a row maps to 127, so that the error of a weight
    is at most half a scale.
    """
    stored: dict[str, NDArray[Any]] = {}
    for name, tensor in tensors.items():
        if tensor.ndim == 1 or tensor.shape[0] == 1:
            stored[name] = tensor.astype(np.float32)
            continue
        largest = np.abs(tensor).max(axis=1)
        scale = np.where(largest > 0.0, largest / 127.0, 1.0).astype(np.float32)
        stored[name] = np.rint(tensor / scale[:, None]).astype(np.int8)
        stored[name + SCALE_SUFFIX] = scale
    return stored


def dequantise(stored: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """Inverse of ``quantise`` up to rounding. Raises ``ValueError`` where an int8 tensor has no scale."""
    tensors = {}
    for name, tensor in stored.items():
        if name.endswith(SCALE_SUFFIX):
            continue
        if tensor.dtype == np.int8:
            scale = stored.get(name + SCALE_SUFFIX)
            if scale is None or scale.shape != tensor.shape[:1]:
                raise ValueError(f"int8 tensor {name} of shape {tensor.shape} has no scale for each of its rows")
            tensors[name] = tensor.astype(np.float32) * scale[:, None]
        else:
            tensors[name] = tensor.astype(np.float32)
    return tensors
