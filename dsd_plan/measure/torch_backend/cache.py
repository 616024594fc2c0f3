"""Memory for keys and values that all points share: allocated for the largest so far, viewed in each one's shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dsd_plan.measure.torch_backend.device import TorchDevice, torch_module
from dsd_plan.measure.torch_backend.shape import Dtype

Tensor = Any


@dataclass(frozen=True, slots=True)
class KvLayer:
    """What one token adds to one layer's cache."""

    heads: int
    key_size: int
    value_size: int


class KvPool:
    """Random keys and values, as many as the largest point asked for so far needs.

    A view is batch x heads x length x size and lies in one piece, as an engine would allocate it for that point alone.
    """

    def __init__(self, layers: tuple[KvLayer, ...], dtype: Dtype, device: TorchDevice, seed: int = 0) -> None:
        torch = torch_module()
        self.before_growing: list[Callable[[], None]] = []
        """Called before memory is allocated anew: whoever keeps views lets go of them."""
        self._layers = layers
        self._dtype = getattr(torch, dtype)
        self._device = device
        self._generator = torch.Generator(device.name).manual_seed(seed)
        self._tokens = 0
        self._buffers: list[tuple[Tensor, Tensor]] = []

    @property
    def bytes_per_token(self) -> int:
        """Of all layers, as allocated."""
        return sum(layer.heads * (layer.key_size + layer.value_size) for layer in self._layers) * int(
            self._dtype.itemsize
        )

    def views(self, batch: int, length: int) -> tuple[tuple[Tensor, Tensor], ...]:
        """Keys and values of every layer for ``batch`` sequences of ``length`` tokens."""
        if batch * length > self._tokens:
            self._grow(batch * length)
        return tuple(
            (
                keys[: batch * length * layer.heads * layer.key_size].view(batch, layer.heads, length, layer.key_size),
                values[: batch * length * layer.heads * layer.value_size].view(
                    batch, layer.heads, length, layer.value_size
                ),
            )
            for (keys, values), layer in zip(self._buffers, self._layers, strict=True)
        )

    def clear(self) -> None:
        """Give the memory back."""
        self._buffers.clear()
        self._tokens = 0
        if self._device.kind == "cuda":
            torch_module().cuda.empty_cache()

    def _grow(self, tokens: int) -> None:
        # The old buffers go first: old and new together would need twice the memory.
        for let_go in self.before_growing:
            let_go()
        self.clear()
        self._buffers = [
            (self._random(tokens * layer.heads * layer.key_size), self._random(tokens * layer.heads * layer.value_size))
            for layer in self._layers
        ]
        self._tokens = tokens

    def _random(self, numbers: int) -> Tensor:
        torch = torch_module()
        empty = torch.empty(numbers, dtype=self._dtype, device=self._device.name)
        return empty.normal_(generator=self._generator)
