"""Runners of the torch backend: what they hold, what they refuse, and that a step leaves the context as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dsd_plan.errors import InputError, MeasurementError
from dsd_plan.measure.steps.grid import GridPoint
from dsd_plan.measure.torch_backend import device as torch_device
from dsd_plan.measure.torch_backend import runners as torch_backend
from dsd_plan.measure.torch_backend.cache import KvLayer, KvPool
from dsd_plan.measure.torch_backend.device import TorchDevice, find_device
from dsd_plan.measure.torch_backend.graphs import CudaGraphs
from dsd_plan.measure.torch_backend.runners import LlamaRunner, needed_bytes, torch_runners

pytestmark = pytest.mark.torch

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 5,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 61,
    "max_position_embeddings": 128,
    "dtype": "float32",
}
LAYER = 32 * 64 + 32 * 32 + 3 * 32 * 48 + 64
PARAMETERS = 2 * 61 * 32 + 5 * LAYER + 32


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    return folder


def test_a_whole_shape(config: Path) -> None:
    (runner,) = torch_runners(None, str(config))
    assert isinstance(runner, LlamaRunner)
    assert (runner.model, runner.backend, runner.precision, runner.max_context) == ("tiny", "torch", "float32", 128)
    assert runner.weight_bytes == 4 * PARAMETERS
    assert runner.kv_bytes_per_token == 4 * 2 * 5 * 2 * 8
    assert runner.details["parameters"] == PARAMETERS
    assert runner.details["layers"] == runner.details["layers_of_model"] == 5
    assert "torch" in runner.software
    assert runner.cpu_bound
    for point in (GridPoint("decode", 2, 1, 16), GridPoint("decode", 3, 5, 40), GridPoint("prefill", 1, 100, 0)):
        runner.prepared(point)()
    runner.close()
    with pytest.raises(MeasurementError, match="was closed"):
        runner.prepared(GridPoint("decode", 1, 1, 16))


def test_slices_are_views_of_the_whole_where_it_fits(config: Path) -> None:
    shallow, deep, whole = torch_runners(None, str(config), "bfloat16", layers=(1, 3))
    assert [r.details["layers"] for r in (shallow, deep, whole)] == [1, 3, 5]
    assert [r.model for r in (shallow, deep, whole)] == ["tiny-1-layers", "tiny-3-layers", "tiny"]
    assert deep.weight_bytes - shallow.weight_bytes == whole.weight_bytes - deep.weight_bytes == 2 * 2 * LAYER
    assert 3 * shallow.kv_bytes_per_token == deep.kv_bytes_per_token == 3 * whole.kv_bytes_per_token // 5
    # The memory that is held is the whole model's, whichever slice runs.
    point = GridPoint("decode", 4, 1, 16)
    assert shallow.memory_bytes(point) == deep.memory_bytes(point) == whole.memory_bytes(point)
    for runner in (shallow, deep, whole):
        runner.prepared(point)()


def test_slices_without_the_whole(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shallow, deep = torch_runners(None, str(config), layers=(1, 3), check=False)
    assert shallow.details["slicing_check"] == deep.details["slicing_check"] == "not asked for"
    monkeypatch.setattr(torch_backend, "CHECKED_ON_CPU", PARAMETERS - 1)
    assert len(torch_runners(None, str(config), layers=(1, 3))) == 2
    assert len(torch_runners(None, str(config), layers=(1, 3), check=True)) == 3


@pytest.mark.parametrize("depths", [(0, 2), (2, 2), (3, 2), (2, 5)])
def test_depths_that_nothing_follows_from(config: Path, depths: tuple[int, int]) -> None:
    with pytest.raises(MeasurementError, match="expected two of 1 to 4 layers"):
        torch_runners(None, str(config), layers=depths)


def test_what_does_not_fit_is_not_built(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = needed_bytes(torch_backend.model_shape(str(config)), "float32", torch_backend.SMALLEST)
    free = needed - 2**20  # a whole MiB is more than this model: nothing is left at all
    monkeypatch.setattr(torch_device, "_free_bytes", lambda device: max(free, 0))
    with pytest.raises(MeasurementError, match=r"0\.00 GiB are missing; measure some of the layers.*--layers 2,4"):
        torch_runners(None, str(config))
    monkeypatch.setattr(torch_device, "_free_bytes", lambda device: int((needed - LAYER) / torch_device.USABLE))
    shallow, deep = torch_runners(None, str(config), layers=(1, 3))
    assert shallow.details["slicing_check"] == "none: the whole model does not fit"
    assert deep.memory_limit_bytes is not None
    with pytest.raises(MeasurementError, match="are missing"):
        torch_runners(None, str(config), layers=(1, 3), check=True)


def test_a_70b_says_how_much_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_device, "_free_bytes", lambda device: 20 * 2**30)
    with pytest.raises(
        MeasurementError, match=r"llama-3.1-70b.*need 131\.\d\d GiB, 18\.40 GiB may be filled.*113\.\d\d"
    ):
        torch_runners(None, "llama-3.1-70b", "bfloat16")


def test_no_such_device(config: Path) -> None:
    with pytest.raises(MeasurementError, match=r"--on cuda:9: .* finds no such device; there are cpu \("):
        torch_runners(None, str(config), on="cuda:9")
    with pytest.raises(MeasurementError, match=r"--dtype int8.*expected float32, bfloat16, float16"):
        torch_runners(None, str(config), "int8")
    with pytest.raises(MeasurementError, match="one of them"):
        torch_runners(config, str(config))


def test_memory_is_kept_for_the_largest_point() -> None:
    pool = KvPool((KvLayer(2, 4, 6),) * 3, "float32", find_device("cpu"))
    let_go: list[int] = []
    pool.before_growing.append(lambda: let_go.append(1))
    assert pool.bytes_per_token == 3 * 2 * (4 + 6) * 4
    large = pool.views(4, 10)
    small = pool.views(2, 7)
    assert len(let_go) == 1
    assert small[0][0].data_ptr() == large[0][0].data_ptr()
    assert [tuple(part.shape) for part in small[2]] == [(2, 2, 7, 4), (2, 2, 7, 6)]
    assert small[0][0].is_contiguous()
    assert float(large[1][1].std()) == pytest.approx(1.0, abs=0.2)
    pool.views(4, 11)
    assert len(let_go) == 2


def test_a_step_that_cannot_be_captured_runs_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = CudaGraphs(TorchDevice("cuda", 0, "none"))
    ran: list[int] = []

    def refused(self: CudaGraphs, step: Any) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(CudaGraphs, "_capture", refused)
    point = GridPoint("decode", 1, 1, 16)
    for _ in range(2):
        graphs.captured(point, lambda: ran.append(1))()
    assert len(ran) == 2
    assert graphs.failed == 1
    assert graphs.first_failure == "operation not permitted when stream is capturing"


def test_container_limits(tmp_path: Path) -> None:
    assert torch_device.container_free_bytes(str(tmp_path)) is None
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.current").write_text("300\n")
    (group / "memory.max").write_text("max\n")
    assert torch_device.container_free_bytes(str(tmp_path)) is None
    (group / "memory.max").write_text("1000\n")
    assert torch_device.container_free_bytes(str(tmp_path)) == 700


def _saved(folder: Path, **changes: Any) -> Path:
    import torch
    import transformers

    torch.manual_seed(0)
    given = {key: value for key, value in CONFIG.items() if key not in ("model_type", "dtype")} | changes
    config = transformers.LlamaConfig(**given) if "sliding_window" not in given else transformers.MistralConfig(**given)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_folder(tmp_path: Path) -> None:
    import torch

    folder = _saved(tmp_path / "mine")
    (runner,) = torch_runners(folder, None)
    assert (runner.model, runner.backend) == ("mine", "transformers")
    assert runner.weight_bytes == 4 * PARAMETERS
    assert runner.kv_bytes_per_token == 4 * 2 * 5 * 2 * 8
    assert runner.details["cache"] == "static"
    assert runner.details["architecture"] == "LlamaForCausalLM"
    assert "transformers" in runner.software
    point = GridPoint("decode", 2, 3, 20)
    step = runner.prepared(point)
    seen: list[Any] = []
    loaded = runner._loaded  # type: ignore[attr-defined]
    handle = loaded.register_forward_hook(lambda module, args, output: seen.append(output.logits.clone()))
    for _ in range(3):
        step()
    runner.prepared(GridPoint("prefill", 3, 60, 0))()
    handle.remove()
    # Every step starts from the same context: were one longer than the one before, its logits would differ.
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])
    assert seen[0].shape == (2, 3, 61)
    assert seen[3].shape == (3, 1, 61)
    assert runner.memory_bytes(point) >= runner.weight_bytes + 2 * 23 * runner.kv_bytes_per_token
    runner.close()


def test_the_static_cache_holds_what_a_model_has_read(tmp_path: Path) -> None:
    """With the pool filled by a real prompt, the step's logits are those of the prompt and the step at once."""
    import torch

    (runner,) = torch_runners(_saved(tmp_path / "mine"), None)
    loaded, pool = runner._loaded, runner._pool  # type: ignore[attr-defined]
    tokens = torch.randint(61, (2, 23), generator=torch.Generator().manual_seed(5))
    point = GridPoint("decode", 2, 3, 20)
    with torch.inference_mode():
        cache = loaded(tokens[:, :20], use_cache=True).past_key_values
        for layer, (keys, values) in zip(cache.layers, pool.views(2, 23), strict=True):
            keys[:, :, :20], values[:, :, :20] = layer.keys, layer.values
        found = loaded(tokens[:, 20:], past_key_values=runner._static(point)()).logits  # type: ignore[attr-defined]
        expected = loaded(tokens).logits[:, 20:]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_sliding_window_goes_over_a_dynamic_cache(tmp_path: Path) -> None:
    import torch

    (runner,) = torch_runners(_saved(tmp_path / "slides", sliding_window=64), None)
    assert str(runner.details["cache"]).startswith("dynamic, cropped: ")
    seen: list[Any] = []
    loaded = runner._loaded  # type: ignore[attr-defined]
    step = runner.prepared(GridPoint("decode", 2, 3, 20))
    loaded.register_forward_hook(lambda module, args, output: seen.append(output.logits.clone()))
    for _ in range(3):
        step()
    runner.prepared(GridPoint("prefill", 1, 30, 0))()
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])


def test_folders_that_are_no_model(tmp_path: Path, config: Path) -> None:
    with pytest.raises(MeasurementError, match=r"has no config\.json"):
        torch_runners(tmp_path / "none", None)
    with pytest.raises(MeasurementError, match="has no weights"):
        torch_runners(config, None)
    (config / "model.safetensors").write_bytes(b"not one")
    with pytest.raises(MeasurementError, match="cannot load it as a causal language model"):
        torch_runners(config, None)
    with pytest.raises(InputError, match="no such shape, file or folder; built in are"):
        torch_runners(None, "llama-9000b")
