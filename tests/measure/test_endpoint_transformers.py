"""A real engine: `transformers serve` with a tiny model of our own making, on the processor."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsd_plan.cli import main
from dsd_plan.files import load_profile
from tests.measure.tiny_server import make_model, missing_serving, serving

pytestmark = pytest.mark.torch

OPTIONS = [
    *("--contexts", "64,512", "--prompts", "64,256,768", "--concurrency", "2,4", "--output-tokens", "16"),
    *("--inject-tokens", "256", "--open-requests", "16", "--rounds", "1", "--budget-s", "10", "--device", "cpu"),
]


def test_a_real_engine_is_profiled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reason = missing_serving()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path / "tiny-llama"
    make_model(folder)
    with serving(folder) as url:
        code = main(["profile", "endpoint", url, "--model", str(folder), "-o", str(tmp_path / "profiles"), *OPTIONS])
    told = capsys.readouterr()
    assert code == 0, told.err
    profile = load_profile(tmp_path / "profiles" / "cpu" / "tiny-llama.json")
    decode = {(point.batch, point.context_tokens) for point in profile.points if point.phase == "decode"}
    assert {batch for batch, _ in decode} >= {1, 2}
    prompts = [point.new_tokens for point in profile.points if point.phase == "prefill"]
    # What the engine counted is close to what was asked for: words were calibrated against its tokenizer.
    assert [wanted for wanted in (64, 256, 768) if any(abs(n / wanted - 1) < 0.1 for n in prompts)] == [64, 256, 768]
    assert profile.fit.law.step_ms > 0
    assert profile.method is not None
    assert profile.method["usage_reported"] is True
    assert profile.method["ignore_eos"] is False
    assert str(tmp_path) not in (tmp_path / "profiles" / "cpu" / "tiny-llama.json").read_text()
