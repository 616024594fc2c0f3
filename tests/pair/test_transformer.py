"""The cache must not change what the model says: not by when tokens come, nor by what runs beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dsd_plan.pair.quantised import dequantise, quantise
from dsd_plan.pair.shape import ModelShape
from dsd_plan.pair.transformer import Transformer

SHAPE = ModelShape(vocab=11, width=16, layers=2, heads=4, kv_heads=2, ffn=24, max_context=48)
CLOSE = {"rtol": 2e-5, "atol": 2e-5}


def tokens_of(seed: int, *size: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, SHAPE.vocab, size)


def slow_logits(shape: ModelShape, tensors: dict[str, np.ndarray], tokens: np.ndarray) -> np.ndarray:
    """The network's definition for one sequence, position by position in float64; no cache, no fused matrices."""

    def norm(vector: np.ndarray, gain: np.ndarray) -> np.ndarray:
        return vector / np.sqrt(np.mean(vector**2) + 1e-5) * gain

    def turn(head: np.ndarray, position: int) -> np.ndarray:
        half = len(head) // 2
        angles = position * shape.rope_base ** (-2 * np.arange(half) / len(head))
        pairs = (head[:half] + 1j * head[half:]) * np.exp(1j * angles)
        return np.concatenate((pairs.real, pairs.imag))

    size, group = shape.head_size, shape.heads // shape.kv_heads
    hidden = tensors["embedding"][tokens].astype(np.float64)
    for layer in range(shape.layers):
        weight = {name.split(".")[2]: t.astype(np.float64) for name, t in tensors.items() if f"layers.{layer}." in name}
        rows = [weight["qkv"] @ norm(h, weight["attention_norm"].ravel()) for h in hidden]
        query = [[turn(row[i * size : (i + 1) * size], at) for i in range(shape.heads)] for at, row in enumerate(rows)]
        rest = [row[shape.width :].reshape(2, shape.kv_heads, size) for row in rows]
        after = []
        for at in range(len(tokens)):
            mixed = []
            for head in range(shape.heads):
                keys = np.array([turn(rest[j][0, head // group], j) for j in range(at + 1)])
                values = np.array([rest[j][1, head // group] for j in range(at + 1)])
                weights = np.exp(keys @ query[at][head] / np.sqrt(size))
                mixed.append(weights @ values / weights.sum())
            middle = hidden[at] + weight["attention_out"] @ np.concatenate(mixed)
            gate, up = np.split(weight["gate_up"] @ norm(middle, weight["ffn_norm"].ravel()), 2)
            after.append(middle + weight["down"] @ (gate / (1 + np.exp(-gate)) * up))
        hidden = np.array(after)
    return np.array([tensors["embedding"] @ norm(h, tensors["norm"].ravel()) for h in hidden])


def test_forward_is_the_network_by_its_definition(make_model: Any) -> None:
    from tests.pair.conftest import random_tensors

    tensors = random_tensors(SHAPE, 3)
    tokens = tokens_of(1, 9)
    model = Transformer(SHAPE, tensors)
    found = model.forward(tokens[None], model.new_cache(1, 9))[0]
    np.testing.assert_allclose(found, slow_logits(SHAPE, tensors, tokens), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cuts", [(1,) * 12, (5, 1, 6), (11, 1), (1, 11)])
def test_pieces_through_the_cache_equal_one_uncached_pass(make_model: Any, cuts: tuple[int, ...]) -> None:
    model = make_model(seed=1)
    tokens = tokens_of(2, 3, 12)
    whole = model.forward(tokens, model.new_cache(3, 12))
    cache = model.new_cache(3, 20)
    ends = np.cumsum(cuts)
    pieces = [model.forward(tokens[:, end - cut : end], cache) for cut, end in zip(cuts, ends, strict=True)]
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, **CLOSE)


@pytest.mark.parametrize("new", [1, 4])
def test_sequences_of_different_lengths_do_not_see_each_other(make_model: Any, new: int) -> None:
    model = make_model(seed=2)
    lengths = np.array([7, 1, 4, 0])
    history, more = tokens_of(3, 4, 7), tokens_of(4, 4, new)
    cache = model.new_cache(4, 16)
    model.forward(history, cache)
    cache.truncate(lengths)
    together = model.forward(more, cache)
    for row, length in enumerate(lengths):
        alone = model.new_cache(1, 16)
        sequence = np.concatenate((history[row, :length], more[row]))[None]
        np.testing.assert_allclose(together[row], model.forward(sequence, alone)[0, length:], **CLOSE)
    assert cache.lengths.tolist() == (lengths + new).tolist()


def test_rolled_back_tokens_leave_no_trace(make_model: Any) -> None:
    model = make_model(seed=3)
    history, wrong, right = tokens_of(5, 2, 6), tokens_of(6, 2, 5), tokens_of(7, 2, 3)
    cache = model.new_cache(2, 20)
    model.forward(history, cache)
    expected = model.forward(right, cache)
    cache.truncate(np.array([6, 6]))
    model.forward(wrong, cache)
    cache.truncate(np.array([6, 6]))
    np.testing.assert_array_equal(model.forward(right, cache), expected)


def test_kept_rows_go_on_as_before(make_model: Any) -> None:
    model = make_model(seed=4)
    history, more = tokens_of(8, 3, 5), tokens_of(9, 3, 2)
    cache, smaller = model.new_cache(3, 10), model.new_cache(3, 10)
    model.forward(history, cache)
    model.forward(history, smaller)
    smaller.keep(np.array([0, 2]))
    np.testing.assert_allclose(model.forward(more[[0, 2]], smaller), model.forward(more, cache)[[0, 2]], **CLOSE)


def test_a_cache_refuses_what_does_not_fit(make_model: Any) -> None:
    model = make_model()
    cache = model.new_cache(2, 4)
    with pytest.raises(ValueError, match="5 tokens do not fit a cache of 4"):
        model.forward(tokens_of(0, 2, 5), cache)
    with pytest.raises(ValueError, match="3 sequences for a cache of 2"):
        model.forward(tokens_of(0, 3, 1), cache)
    with pytest.raises(ValueError, match="cannot roll back"):
        cache.truncate(np.array([1, 0]))
    with pytest.raises(ValueError, match="allows 1 to 48"):
        model.new_cache(1, 49)


def test_tensors_that_do_not_fit_are_all_named() -> None:
    from tests.pair.conftest import random_tensors

    tensors = random_tensors(SHAPE, 0)
    del tensors["norm"]
    tensors["layers.0.down"] = tensors["layers.0.down"][:-1]
    tensors["layers.9.down"] = tensors["layers.0.down"]
    with pytest.raises(ValueError, match=r"norm is missing; layers.0.down has shape .*; layers.9.down is not part"):
        Transformer(SHAPE, tensors)


def test_shape_counts_by_hand() -> None:
    shape = ModelShape(vocab=10, width=8, layers=2, heads=2, kv_heads=1, ffn=6)
    block = 8 + (8 + 2 * 4) * 8 + 8 * 8 + 8 + 2 * 6 * 8 + 8 * 6
    assert shape.parameters == 10 * 8 + 8 + 2 * block
    assert shape.weight_bytes == 4 * shape.parameters
    assert shape.kv_bytes_per_token == 2 * 2 * 4 * 4
    with pytest.raises(ValueError, match="into 3 heads"):
        ModelShape(vocab=10, width=8, layers=1, heads=3, kv_heads=1, ffn=6)
    with pytest.raises(ValueError, match="multiple of kv_heads"):
        ModelShape(vocab=10, width=16, layers=1, heads=4, kv_heads=3, ffn=6)


def test_int8_rows_are_within_half_a_step_and_exact_where_representable() -> None:
    rng = np.random.default_rng(0)
    tensors = {"m": rng.normal(size=(5, 64)).astype(np.float32), "g": rng.normal(size=7).astype(np.float32)}
    tensors["m"][2] = 0.0
    stored = quantise(tensors)
    assert stored["m"].dtype == np.int8
    back = dequantise(stored)
    step = np.abs(tensors["m"]).max(axis=1) / 127
    assert (np.abs(back["m"] - tensors["m"]).max(axis=1) <= 0.5001 * step).all()
    np.testing.assert_array_equal(back["g"], tensors["g"])
    whole = {"m": np.array([[127.0, -3.0, 0.0], [-254.0, 2.0, 10.0]], dtype=np.float32)}
    np.testing.assert_array_equal(dequantise(quantise(whole))["m"], whole["m"])
    with pytest.raises(ValueError, match="has no scale"):
        dequantise({"m": stored["m"]})


@pytest.mark.torch
def test_torch_and_numpy_say_the_same() -> None:
    torch = pytest.importorskip("torch")
    from dsd_plan.pair.torch_model import TorchTransformer

    network = TorchTransformer(SHAPE, torch.Generator().manual_seed(5))
    with torch.no_grad():
        for name, weight in network.weights.items():
            if name.endswith("norm"):
                weight.mul_(torch.linspace(0.5, 1.5, weight.numel()))
    model = Transformer(SHAPE, {name: weight.detach().numpy() for name, weight in network.weights.items()})
    tokens = tokens_of(11, 3, 20)
    with torch.no_grad():
        expected = network(torch.from_numpy(tokens)).numpy()
    np.testing.assert_allclose(model.forward(tokens, model.new_cache(3, 20)), expected, **CLOSE)
