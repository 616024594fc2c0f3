"""The pair as it ships: loadable, as good as its provenance says, and refused when damaged."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from dsd_plan.errors import InputError
from dsd_plan.pair import corpus
from dsd_plan.pair.bundled import load_draft, load_target, provenance, tokenizer_hash
from dsd_plan.pair.evidence import agreement, bits_per_byte, held_out_windows, run_prompts
from dsd_plan.pair.prompts import TASKS, examples, library_prompts, prose


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    with resources.as_file(resources.files("dsd_plan.pair") / "weights") as folder:
        return Path(shutil.copytree(folder, tmp_path / "weights"))


def test_the_pair_fits_in_six_megabytes_and_knows_its_size(copied: Path) -> None:
    assert sum(path.stat().st_size for path in copied.iterdir()) < 6_000_000
    for role, model in (("target", load_target()), ("draft", load_draft())):
        told = provenance()["models"][role]
        assert told["parameters"] == model.shape.parameters
        assert told["bytes"] == (copied / f"{role}.safetensors").stat().st_size


def test_loss_on_unseen_text_is_what_the_provenance_says() -> None:
    windows = held_out_windows(256, 100)
    for role, model in (("target", load_target()), ("draft", load_draft())):
        told = provenance()["models"][role]["held_out_bits_per_byte"]
        # Other windows, and perhaps another Python's text, so only near.
        assert bits_per_byte(model, windows) == pytest.approx(told, abs=0.5)


def test_int8_costs_next_to_nothing() -> None:
    for told in provenance()["models"].values():
        assert told["held_out_bits_per_byte"] - told["held_out_bits_per_byte_unquantised"] < 0.01
        assert told["quantisation_relative_rms_error"] < 0.02


def test_draft_and_target_agree_about_as_often_as_recorded() -> None:
    prompts = library_prompts(32, prompt_tokens=96, seed=11)
    outputs = run_prompts(load_target(), load_draft(), prompts, window=4, output_tokens=64, temperature=1.0, seed=3)
    found = agreement(prompts, outputs)
    assert found.tokens == 32 * 64
    assert set(found.by_task) == set(TASKS)
    assert found.overall == pytest.approx(provenance()["agreement_argmax_temperature_1"]["overall"], abs=0.1)


@pytest.mark.parametrize("role", ["target", "draft"])
def test_one_flipped_bit_is_noticed(copied: Path, role: str) -> None:
    path = copied / f"{role}.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    load = load_target if role == "target" else load_draft
    with pytest.raises(InputError, match=rf"{role}.safetensors: damaged: SHA-256 is .* reinstall"):
        load(copied)


def test_missing_parts_are_named(copied: Path) -> None:
    (copied / "draft.safetensors").unlink()
    with pytest.raises(InputError, match=r"draft.safetensors: not readable"):
        load_draft(copied)
    (copied / "provenance.json").write_text("{")
    with pytest.raises(InputError, match=r"provenance.json: not readable"):
        load_target(copied)


def test_the_tokenizer_is_the_byte() -> None:
    assert load_target().shape.vocab == load_draft().shape.vocab == 256
    assert tokenizer_hash() == tokenizer_hash()
    assert tokenizer_hash().startswith("sha256:")


def test_training_text_has_no_held_out_module_and_provenance_lists_them() -> None:
    names = {path.relative_to(corpus.library_folder()).as_posix() for path in corpus.training_files()}
    assert {"ast.py", "json/decoder.py"} <= names
    assert not {"statistics.py", "html/entities.py", "encodings/cp1252.py", "test/test_statistics.py"} & names
    assert provenance()["corpus"]["held_out_modules"] == sorted(corpus.HELD_OUT)


@pytest.mark.parametrize("name", ["statistics.py", "html/entities.py", "test/test_heapq.py", "encodings/koi8_r.py"])
def test_held_out_by_name(name: str) -> None:
    assert corpus.is_held_out(Path(name))


@pytest.mark.parametrize("name", ["ast.py", "html/parser.py", "encodings/koi8_u.py", "csvlike.py", "test/test_ast.py"])
def test_not_held_out_by_name(name: str) -> None:
    assert not corpus.is_held_out(Path(name))


def test_prompts_take_turns_and_repeat_by_seed() -> None:
    prompts = library_prompts(12, prompt_tokens=80, seed=1)
    assert prompts == library_prompts(12, prompt_tokens=80, seed=1)
    assert prompts != library_prompts(12, prompt_tokens=80, seed=2)
    assert [prompt.task for prompt in prompts] == list(TASKS) * 3
    assert {len(prompt.tokens) for prompt in prompts} == {80}
    for prompt in prompts:
        assert prompt.module in corpus.HELD_OUT
        if prompt.task in ("code", "tables"):
            assert bytes(prompt.tokens) in corpus.module_text(prompt.module).encode()


def test_a_python_without_library_sources_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus.sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
    with pytest.raises(InputError, match="no standard library sources"):
        library_prompts(1, prompt_tokens=10, seed=0)
    with pytest.raises(InputError, match="module 'heapq' has no source file"):
        corpus.module_text("heapq", tmp_path)


def test_kinds_of_text_are_cut_apart() -> None:
    source = '"""Top.\n\nSecond part.\n\n>>> f(1)\n2\n"""\ndef f(x):\n    """Doubles."""\n    return 2 * x\n'
    assert prose(source) == "Top.\n\nSecond part.\n\nDoubles.\n\n"
    assert examples(source) == ">>> f(1)\n2\n"


@pytest.mark.torch
def test_training_lowers_the_loss_and_writes_a_pair_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from dsd_plan.pair import train
    from dsd_plan.pair.shape import ModelShape

    (tmp_path / "library").mkdir()
    files = tuple(tmp_path / "library" / f"{name}.py" for name in "ab")
    for path in files:
        path.write_text("abcdefgh" * 400)
    tiny = ModelShape(vocab=256, width=16, layers=1, heads=2, kv_heads=1, ffn=16)
    monkeypatch.setattr(train, "TARGET_SHAPE", tiny)
    monkeypatch.setattr(train, "DRAFT_SHAPE", tiny)
    plan = train.TrainingPlan(target_steps=40, draft_steps=10, distill_steps=5, distill_epochs=2, batch=2, context=32)
    text = train.TrainingText(files, tmp_path / "library")
    tensors, seconds = train.train_pair(plan, text)
    from dsd_plan.pair.transformer import Transformer

    windows = np.frombuffer(b"abcdefgh" * 8, dtype=np.uint8).astype(np.int64)[None]
    assert bits_per_byte(Transformer(tiny, tensors["target"]), windows) < 5.0
    monkeypatch.setattr(train, "HELD_OUT_EVERY", 400)
    monkeypatch.setattr(
        train, "library_prompts", lambda *_args, **_options: library_prompts(4, prompt_tokens=16, seed=0)
    )
    train.write_pair(tmp_path / "out", tensors, plan, text, seconds, "a test")
    assert load_draft(tmp_path / "out").shape == tiny
    written = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert written["training"]["machine"] == "a test"
    assert set(written) == set(provenance())
