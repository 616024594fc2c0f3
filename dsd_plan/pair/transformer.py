"""A Llama-style decoder in numpy, with a key/value cache that can be rolled back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsd_plan.pair.shape import ModelShape

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

_EPSILON = np.float32(1e-5)
_MASKED = np.float32(-1e30)
_BLOCK = 64
"""Columns of a block of weights."""
_SMALL_PRODUCT = 1_000_000
"""Multiplications up to which OpenBLAS multiplies without repacking its operands first."""


class KvCache:
    """Keys and values of a batch of sequences; each sequence has its own length."""

    def __init__(self, shape: ModelShape, batch: int, capacity: int) -> None:
        if batch < 1:
            raise ValueError(f"batch is {batch}; a cache holds at least one sequence")
        if not 1 <= capacity <= shape.max_context:
            raise ValueError(f"capacity is {capacity} tokens; the model allows 1 to {shape.max_context}")
        size = (shape.layers, batch, shape.kv_heads, capacity, shape.head_size)
        self.keys = np.zeros(size, dtype=np.float32)
        self.values = np.zeros(size, dtype=np.float32)
        self.lengths: Ints = np.zeros(batch, dtype=np.int64)

    @property
    def batch(self) -> int:
        """Number of sequences."""
        return len(self.lengths)

    @property
    def capacity(self) -> int:
        """Most tokens that a sequence may grow to."""
        return int(self.keys.shape[3])

    def truncate(self, lengths: Ints) -> None:
        """Forget everything past ``lengths`` tokens (int[batch]); raises ``ValueError`` where that is longer."""
        wanted = np.asarray(lengths, dtype=np.int64)
        if wanted.shape != self.lengths.shape or (wanted < 0).any() or (wanted > self.lengths).any():
            raise ValueError(f"cannot roll back from {self.lengths.tolist()} to {wanted.tolist()} tokens")
        self.lengths = wanted.copy()

    def keep(self, rows: Ints) -> None:
        """Drop every sequence but those at ``rows`` of the batch."""
        self.keys = np.ascontiguousarray(self.keys[:, rows])
        self.values = np.ascontiguousarray(self.values[:, rows])
        self.lengths = self.lengths[rows]


class _Matrix:
    """A weight matrix laid out for products with few rows, which is all that decoding and verifying do."""

    def __init__(self, matrix: NDArray[np.floating]) -> None:
        """``matrix`` maps its columns to its rows."""
        self._whole: Floats = np.ascontiguousarray(matrix.T, dtype=np.float32)
        inputs, outputs = self._whole.shape
        self._blocks: Floats | None = None
        if outputs % _BLOCK == 0 and outputs > _BLOCK:
            split = self._whole.reshape(inputs, outputs // _BLOCK, _BLOCK)
            self._blocks = np.ascontiguousarray(split.swapaxes(0, 1))

    def of(self, rows: Floats) -> Floats:
        """``rows`` (n, inputs) to (n, outputs)."""
        count = len(rows)
        if self._blocks is None or count == 1 or count * rows.shape[1] * _BLOCK > _SMALL_PRODUCT:
            product: Floats = rows @ self._whole
            return product
        # Repacking the whole matrix for a handful of rows would make five rows cost four times one row.
        joined: Floats = np.matmul(rows, self._blocks).swapaxes(0, 1).reshape(count, -1)
        return joined


@dataclass(frozen=True, slots=True)
class _Layer:
    """One block's matrices, with the norms' gains and the attention scale multiplied in."""

    qkv: _Matrix
    attention_out: _Matrix
    gate_up: _Matrix
    down: _Matrix


class Transformer:
    """Decoder-only transformer of a ``ModelShape``, float32, on the CPU."""

    def __init__(self, shape: ModelShape, tensors: Mapping[str, NDArray[np.floating]]) -> None:
        """``tensors`` has every name of ``shape.tensors()``; raises ``ValueError`` listing what does not fit."""
        self.shape = shape
        taken = _checked(shape, tensors)
        self._embedding = np.ascontiguousarray(taken["embedding"])
        self._unembedding = _Matrix(taken["embedding"] * taken["norm"])
        self._layers = tuple(_layer(shape, taken, index) for index in range(shape.layers))
        rates = shape.rope_base ** (-np.arange(0, shape.head_size, 2) / shape.head_size)
        angles = np.arange(shape.max_context)[:, None] * rates
        self._cos = np.cos(angles).astype(np.float32)[:, None, :]
        self._sin = np.sin(angles).astype(np.float32)[:, None, :]

    def new_cache(self, batch: int, capacity: int) -> KvCache:
        """An empty cache for ``batch`` sequences of up to ``capacity`` tokens each."""
        return KvCache(self.shape, batch, capacity)

    def forward(self, tokens: Ints, cache: KvCache) -> Floats:
        """Append ``tokens`` (int[batch, new]) to every sequence; logits float32[batch, new, vocab].

        Row i of the logits is the distribution of the token after ``tokens[:, i]``. Raises ``ValueError``
        where the batch differs from the cache's or a sequence would outgrow it.
        """
        batch, new = tokens.shape
        if batch != cache.batch:
            raise ValueError(f"tokens of {batch} sequences for a cache of {cache.batch}")
        longest = int(cache.lengths.max()) + new
        if longest > cache.capacity:
            raise ValueError(f"{longest} tokens do not fit a cache of {cache.capacity}")
        place = _Place(cache.lengths, new, longest)
        turn = self._cos[place.positions], self._sin[place.positions]
        hidden: Floats = self._embedding[tokens.reshape(-1)]
        for index, layer in enumerate(self._layers):
            rows = layer.qkv.of(_normalised(hidden))
            mixed = self._attention(rows, cache.keys[index], cache.values[index], place, turn)
            hidden = hidden + layer.attention_out.of(mixed)
            rows = layer.gate_up.of(_normalised(hidden))
            gate, up = rows[:, : self.shape.ffn], rows[:, self.shape.ffn :]
            hidden += layer.down.of(_gated(gate, up))
        cache.lengths = cache.lengths + new
        logits = self._unembedding.of(_normalised(hidden))
        return logits.reshape(batch, new, self.shape.vocab)

    def _attention(
        self, rows: Floats, keys: Floats, values: Floats, place: _Place, turn: tuple[Floats, Floats]
    ) -> Floats:
        """Causal attention of the new tokens over one layer's cache, which gains their keys and values."""
        shape, new = self.shape, place.new
        batch, turned = len(place.lengths), shape.heads + shape.kv_heads
        heads = rows.reshape(batch, new, turned + shape.kv_heads, shape.head_size)
        rotated = _rotated(heads[:, :, :turned], *turn)
        place.store(keys, rotated[:, :, shape.heads :])
        place.store(values, heads[:, :, turned:])
        group = shape.heads // shape.kv_heads
        query = rotated[:, :, : shape.heads].reshape(batch, new, shape.kv_heads, group, shape.head_size)
        query = query.transpose(0, 2, 3, 1, 4).reshape(batch, shape.kv_heads, group * new, shape.head_size)
        scores = query @ keys[:, :, : place.longest].swapaxes(-1, -2)
        if place.future is not None:
            scores = scores.reshape(batch, shape.kv_heads, group, new, place.longest)
            np.copyto(scores, _MASKED, where=place.future)
            scores = scores.reshape(batch, shape.kv_heads, group * new, place.longest)
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        total: Floats = scores.sum(axis=-1, keepdims=True)
        mixed: Floats = np.divide(scores @ values[:, :, : place.longest], total)
        by_token = mixed.reshape(batch, shape.heads, new, shape.head_size).transpose(0, 2, 1, 3)
        return by_token.reshape(batch * new, shape.width)


class _Place:
    """Where the new tokens of one step go in the cache, and what each may attend to."""

    def __init__(self, lengths: Ints, new: int, longest: int) -> None:
        self.lengths = lengths
        self.new = new
        self.longest = longest
        self.even = longest - new == int(lengths.min())
        self.positions: Ints = lengths[:, None] + np.arange(new)
        self.future: NDArray[np.bool_] | None = None
        """bool[batch, 1, 1, new, longest], True where attention is barred; None where nothing is."""
        if new > 1 or not self.even:
            self.future = np.arange(longest) > self.positions[:, None, None, :, None]

    def store(self, cache: Floats, rows: Floats) -> None:
        """Write ``rows`` (batch, new, kv heads, head size) to ``cache`` (batch, kv heads, capacity, head size)."""
        if self.even:
            cache[:, :, self.longest - self.new : self.longest] = rows.swapaxes(1, 2)
        else:
            cache[np.arange(len(self.lengths))[:, None], :, self.positions] = rows


def _normalised(hidden: Floats) -> Floats:
    """Root-mean-square normalisation (Zhang and Sennrich 1910.07467); the gain is in the next matrix."""
    mean_square: Floats = np.einsum("ij,ij->i", hidden, hidden)[:, None] / np.float32(hidden.shape[1])
    root: Floats = np.sqrt(mean_square + _EPSILON)
    return hidden / root


def _gated(gate: Floats, up: Floats) -> Floats:
    """SwiGLU (Shazeer 2002.05202): silu(gate) times up."""
    # Far below zero exp overflows to infinity, and silu is 0 there, as it should be.
    with np.errstate(over="ignore"):
        gated: Floats = np.divide(gate, np.float32(1.0) + np.exp(-gate)) * up
    return gated


def _rotated(heads: Floats, cos: Floats, sin: Floats) -> Floats:
    """Rotary position embedding (Su et al. 2104.09864, Eq. 34), first half paired with the second half."""
    half = heads.shape[-1] // 2
    first, second = heads[..., :half], heads[..., half:]
    rotated = np.empty(heads.shape, dtype=np.float32)
    np.subtract(first * cos, second * sin, out=rotated[..., :half])
    np.add(first * sin, second * cos, out=rotated[..., half:])
    return rotated


def _layer(shape: ModelShape, tensors: Mapping[str, Floats], index: int) -> _Layer:
    prefix = f"layers.{index}."
    qkv = tensors[prefix + "qkv"] * tensors[prefix + "attention_norm"]
    qkv[: shape.width] *= np.float32(shape.head_size**-0.5)
    return _Layer(
        qkv=_Matrix(qkv),
        attention_out=_Matrix(tensors[prefix + "attention_out"]),
        gate_up=_Matrix(tensors[prefix + "gate_up"] * tensors[prefix + "ffn_norm"]),
        down=_Matrix(tensors[prefix + "down"]),
    )


def _checked(shape: ModelShape, tensors: Mapping[str, NDArray[np.floating]]) -> dict[str, Floats]:
    """The named tensors as float32, or one error with every misfit."""
    misfits = []
    taken = {}
    for name, size in shape.tensors().items():
        found = tensors.get(name)
        if found is None:
            misfits.append(f"{name} is missing")
        elif found.size != size[0] * size[1] or found.shape[-1] != size[1]:
            misfits.append(f"{name} has shape {found.shape}, expected {size}")
        else:
            taken[name] = found.astype(np.float32).reshape(size)
    misfits += [f"{name} is not part of this shape" for name in tensors if name not in shape.tensors()]
    if misfits:
        raise ValueError("tensors do not fit the model: " + "; ".join(misfits))
    return taken
