"""The plain decoder against transformers' own, with the same weights: prompts, decode steps and verify steps."""

from __future__ import annotations

from typing import Any

import pytest

from dsd_plan.measure.torch_backend.device import find_device
from dsd_plan.measure.torch_backend.llama import FOLDED_TOKENS, llama_of, place_of, random_llama
from dsd_plan.measure.torch_backend.shape import ModelShape, shape_of_config

pytestmark = pytest.mark.torch

SIZES = {
    "num_hidden_layers": 3,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 61,
    "max_position_embeddings": 128,
}
LENGTH = 100


def reference(family: str, tied: bool) -> tuple[Any, ModelShape]:
    """A model of transformers, and the shape read from its own configuration."""
    import torch
    import transformers

    if family == "llama":
        config = transformers.LlamaConfig(**SIZES, tie_word_embeddings=tied, rope_theta=5000.0)
        model: Any = transformers.LlamaForCausalLM
    elif family == "qwen2":
        config = transformers.Qwen2Config(**SIZES, tie_word_embeddings=tied)
        model = transformers.Qwen2ForCausalLM
    else:
        config = transformers.Qwen3Config(**SIZES, tie_word_embeddings=tied, head_dim=16)
        model = transformers.Qwen3ForCausalLM
    torch.manual_seed(3)
    built = model(config).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_(0.0, 0.3)
    return built, shape_of_config(config.to_dict(), family, "config.json")


@pytest.mark.parametrize(("family", "tied"), [("llama", False), ("llama", True), ("qwen2", True), ("qwen3", False)])
@pytest.mark.parametrize(
    ("context", "new"),
    [(0, LENGTH), (0, 7), (40, 1), (90, 10), (20, LENGTH - 20)],
    ids=["prefill", "short prefill", "decode", "verify", "chunk"],
)
def test_logits_are_those_of_transformers(family: str, tied: bool, context: int, new: int) -> None:
    import torch

    assert LENGTH - 20 > FOLDED_TOKENS > 10  # both ways of attending are met
    theirs, shape = reference(family, tied)
    device = find_device("cpu")
    ours = llama_of(shape, dict(theirs.named_parameters()))
    tokens = torch.randint(shape.vocab, (2, context + new), generator=torch.Generator().manual_seed(1))
    cache = tuple(
        tuple(torch.full((2, shape.kv_heads, context + new, shape.head_dim), torch.nan) for _ in range(2))
        for _ in range(shape.layers)
    )
    with torch.inference_mode():
        if context:
            views = tuple((keys[:, :, :context], values[:, :, :context]) for keys, values in cache)
            ours.forward(tokens[:, :context], 0, views, place_of(shape, 0, context, "float32", device))
        place = place_of(shape, context, new, "float32", device)
        found = ours.forward(tokens[:, context:], context, cache, place)
        last = ours.forward(tokens[:, context:], context, cache, place, last_only=True)
        expected = theirs(tokens).logits[:, context:]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(last, expected[:, -1:], rtol=1e-3, atol=1e-3)
    assert float(expected.std()) > 0.1


def test_memory_is_what_the_shape_says() -> None:
    theirs, shape = reference("qwen2", tied=False)
    built = random_llama(shape, "bfloat16", find_device("cpu"))
    assert built.weight_bytes == shape.weight_bytes("bfloat16") == 2 * sum(p.numel() for p in theirs.parameters())


def test_first_layers_share_the_weights() -> None:
    import torch

    _, shape = reference("llama", tied=True)
    built = random_llama(shape, "float32", find_device("cpu"))
    first = built.first_layers(2)
    assert len(first.layers) == first.shape.layers == 2
    assert first.layers[1].down is built.layers[1].down
    assert first.weight_bytes == built.weight_bytes - 4 * shape.layer_parameters
    assert torch.equal(first.head, built.embedding)
