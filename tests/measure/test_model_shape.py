"""Shapes against published parameter counts, and configurations that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dsd_plan.errors import InputError
from dsd_plan.measure.torch_backend.shape import ModelShape, shape_of_config, shape_of_path
from dsd_plan.measure.torch_backend.shapes import SHAPES, model_shape

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 3,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 61,
    "max_position_embeddings": 128,
    "torch_dtype": "float16",
}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("llama-68m", 68_030_208),
        ("llama-160m", 162_417_408),
        ("tinyllama-1.1b", 1_100_048_384),
        ("llama-2-7b", 6_738_415_616),
        ("llama-3.2-1b", 1_235_814_400),
        ("llama-3.2-3b", 3_212_749_824),
        ("llama-3.1-8b", 8_030_261_248),
        ("llama-3.1-70b", 70_553_706_496),
        ("mistral-7b", 7_248_023_552),
        ("qwen2.5-0.5b", 494_032_768),
        ("qwen2.5-1.5b", 1_543_714_304),
        ("qwen2.5-3b", 3_085_938_688),
        ("qwen2.5-7b", 7_615_616_512),
        ("qwen2.5-14b", 14_770_033_664),
        ("qwen2.5-32b", 32_763_876_352),
        ("qwen2.5-72b", 72_706_203_648),
        ("qwen3-0.6b", 596_049_920),
        ("qwen3-8b", 8_190_735_360),
        ("qwen3-32b", 32_762_123_264),
    ],
)
def test_parameters_are_those_published(name: str, parameters: int) -> None:
    assert SHAPES[name].parameters == parameters
    assert SHAPES[name].name == name


def test_every_shape_of_the_table_is_checked_against_its_published_count() -> None:
    checked = test_parameters_are_those_published.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {name for name, _ in checked} == set(SHAPES)


def test_weights_and_cache_by_hand() -> None:
    shape = model_shape("Llama-3.1-8B")
    assert shape.weight_bytes() == 2 * 8_030_261_248
    assert shape.weight_bytes("float32") == 4 * 8_030_261_248
    # 32 layers, keys and values, 8 heads of 128, 2 bytes: 128 KiB a token.
    assert shape.kv_bytes_per_token() == 2 * 32 * 8 * 128 * 2 == 128 * 1024
    assert shape.with_layers(2).kv_bytes_per_token() == 8 * 1024


def test_slices_differ_by_their_layers() -> None:
    shape = SHAPES["qwen2.5-0.5b"]
    two, four = shape.with_layers(2), shape.with_layers(4)
    assert four.parameters - two.parameters == 2 * shape.layer_parameters
    assert two.name == shape.name


def test_work_space_by_hand() -> None:
    shape = shape_of_config(CONFIG, "tiny", "here")
    # 6 tokens of 4·32 + 3·64 + 4·48 numbers, 6 logits of 61, keys and values of 2·23 tokens over 4 heads of 8, at two
    # bytes; a mask of 2·3 queries over 23 tokens at one.
    assert shape.work_bytes(2, 3, 20, 3, "float16") == 2 * (6 * 512 + 6 * 61 + 2 * 46 * 32) + 2 * 3 * 23
    assert shape.work_bytes(2, 3, 20, 1, "float16") == shape.work_bytes(2, 3, 20, 3, "float16") - 2 * 4 * 61


def test_from_a_configuration(tmp_path: Path) -> None:
    folder = tmp_path / "my-model"
    folder.mkdir()
    file = folder / "config.json"
    file.write_text(json.dumps(CONFIG))
    expected = ModelShape(
        name="my-model",
        layers=3,
        hidden=32,
        intermediate=48,
        heads=4,
        kv_heads=2,
        head_dim=8,
        vocab=61,
        max_context=128,
        dtype="float16",
    )
    assert shape_of_path(folder) == shape_of_path(file) == model_shape(str(folder)) == expected


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"rope_theta": 5e5}, "rope_theta", 5e5),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 2e4}}, "rope_theta", 2e4),
        ({"num_key_value_heads": None}, "kv_heads", 4),
        ({"head_dim": 16}, "head_dim", 16),
        ({"tie_word_embeddings": True}, "tied_embeddings", True),
        ({"dtype": "bfloat16"}, "dtype", "bfloat16"),
        ({"model_type": "qwen2"}, "qkv_bias", True),
        ({"model_type": "qwen3"}, "qk_norm", True),
        ({"model_type": "mistral", "sliding_window": 64}, "max_context", 64),
        ({"model_type": "mistral", "sliding_window": None}, "max_context", 128),
        ({"model_type": "qwen2", "sliding_window": 64, "use_sliding_window": False}, "max_context", 128),
        ({"model_type": "qwen2", "sliding_window": 64, "use_sliding_window": True}, "max_context", 64),
    ],
)
def test_what_a_configuration_says(changes: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(shape_of_config(CONFIG | changes, "tiny", "here"), field) == expected


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model_type": "gpt2"}, r"model_type: found 'gpt2', supported are llama, mistral, qwen2, qwen3"),
        ({"model_type": None}, "model_type: found None"),
        ({"model_type": "mixtral"}, "model_type: found 'mixtral': a mixture of experts"),
        ({"model_type": "qwen3_moe"}, "a mixture of experts"),
        ({"num_local_experts": 8}, "num_local_experts: found 8: a mixture of experts"),
        ({"quantization_config": {"bits": 4}}, "quantization_config: quantised weights"),
        ({"mlp_bias": True}, "mlp_bias: found true"),
        ({"attention_bias": True}, "attention_bias: found true"),
        ({"hidden_size": "wide"}, "hidden_size: found 'wide', expected a whole number"),
        ({"vocab_size": True}, "vocab_size: found True"),
        ({"vocab_size": 0}, "vocab: found 0, expected at least 1"),
        ({"torch_dtype": "int8"}, "dtype: found 'int8', expected float32, bfloat16, float16"),
        ({"num_key_value_heads": 3}, "heads: found 4, expected a multiple of kv_heads 3"),
        ({"head_dim": 7}, "head_dim: found 7, expected an even size"),
        ({"rope_theta": 0.5}, "rope_theta: found 0.5"),
    ],
)
def test_configurations_that_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        shape_of_config(CONFIG | changes, "tiny", "here")


def test_all_problems_at_once() -> None:
    with pytest.raises(InputError, match=r"3 problems(.|\n)*model_type(.|\n)*hidden_size(.|\n)*dtype"):
        shape_of_config(CONFIG | {"model_type": "x", "hidden_size": None, "torch_dtype": "y"}, "tiny", "here")


def test_names_and_files_that_are_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="built in are llama-160m, llama-2-7b"):
        model_shape("llama-9000b")
    with pytest.raises(InputError, match=r"config\.json: cannot be read: no such file"):
        model_shape(str(tmp_path))
    broken = tmp_path / "config.json"
    broken.write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        model_shape(str(broken))
    broken.write_text("[1]")
    with pytest.raises(InputError, match="expected a JSON object"):
        model_shape(str(broken))
