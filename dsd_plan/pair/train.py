"""Train the bundled draft/target pair on the standard library: ``python -m dsd_plan.pair.train -o FOLDER``.

The target learns from the text; the draft learns from the text and then from the target's own
distributions (distillation), because what counts for a draft is agreement with its target.
Needs the optional extra ``torch``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dsd_plan.pair.corpus import HELD_OUT, library_folder, training_files
from dsd_plan.pair.evidence import agreement, bits_per_byte, held_out_windows, run_prompts
from dsd_plan.pair.prompts import library_prompts
from dsd_plan.pair.quantised import dequantise, quantise
from dsd_plan.pair.shape import ModelShape
from dsd_plan.pair.transformer import Transformer

if TYPE_CHECKING:
    import torch

    from dsd_plan.pair.torch_model import TorchTransformer

TARGET_SHAPE = ModelShape(vocab=256, width=256, layers=6, heads=4, kv_heads=2, ffn=640)
DRAFT_SHAPE = ModelShape(vocab=256, width=64, layers=1, heads=4, kv_heads=4, ffn=160)

HELD_OUT_WINDOW = 512
HELD_OUT_EVERY = 16

Tensors = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """How long, and with what, each model is trained."""

    target_steps: int = 2200
    draft_steps: int = 3000
    distill_steps: int = 600
    distill_epochs: int = 3
    batch: int = 8
    context: int = 512
    short_share: float = 0.7
    """Share of the text steps, from the start, that run on twice as many windows of half the length."""
    target_rate: float = 0.02
    """Peak learning rate of the block matrices (Muon); the embedding's and the gains' is a fifth (AdamW)."""
    draft_rate: float = 0.02
    seed: int = 1


class TrainingText:
    """Bytes of the training files, and windows drawn from them."""

    def __init__(self, files: tuple[Path, ...], library: Path) -> None:
        texts = [path.read_bytes() for path in files]
        self.files = len(files)
        self.data = np.frombuffer(b"\x00".join(texts), dtype=np.uint8)
        weights = [_share(path.relative_to(library)) * len(text) for path, text in zip(files, texts, strict=True)]
        self._starts = np.cumsum([0] + [len(text) + 1 for text in texts])[:-1]
        self._lengths = np.array([len(text) for text in texts])
        self._probabilities = np.array(weights) / sum(weights)

    def windows(self, rng: np.random.Generator, batch: int, length: int) -> torch.Tensor:
        """``batch`` windows of ``length`` bytes, int64; a window starts inside its file and may run on."""
        import torch

        chosen = rng.choice(self.files, size=batch, p=self._probabilities)
        offsets = self._starts[chosen] + (rng.random(batch) * self._lengths[chosen]).astype(np.int64)
        offsets = np.minimum(offsets, len(self.data) - length)
        return torch.from_numpy(np.stack([self.data[at : at + length] for at in offsets]).astype(np.int64))


def _share(relative: Path) -> float:
    """Sampling weight of a file per byte: tables less, tests a little less, prose more."""
    if relative.parts[0] == "encodings":
        return 0.3
    if relative.parts[0] == "pydoc_data":
        return 3.0
    return 0.5 if relative.parts[0] in ("test", "idlelib", "turtledemo") else 1.0


def learning_rate(step: int, steps: int) -> float:
    """Share of the peak rate at ``step``: a short linear rise, then a cosine down to 2 %."""
    rise = max(1, steps // 25)
    if step < rise:
        return (step + 1) / rise
    return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def optimisers(model: TorchTransformer, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for the embedding and the gains."""
    import torch

    from dsd_plan.pair.torch_model import Muon

    matrices, others = [], []
    for name, parameter in model.weights.items():
        if parameter.shape[0] == 1 or parameter.ndim == 1 or name == "embedding":
            others.append(parameter)
        else:
            matrices.append((parameter, 2 if name.endswith("gate_up") else 1))
    chosen: list[torch.optim.Optimizer] = [
        Muon(matrices),
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    for optimiser, peak in zip(chosen, (rate, rate / 5), strict=True):
        for group in optimiser.param_groups:
            group["peak"] = peak
    return chosen


def fit_text(model: TorchTransformer, text: TrainingText, plan: TrainingPlan, *, steps: int, rate: float) -> None:
    """Next-byte training on the text."""
    rng = np.random.default_rng(plan.seed)
    opts = optimisers(model, rate)
    began = time.perf_counter()
    for step in range(steps):
        short = step < plan.short_share * steps
        windows, length = (2 * plan.batch, plan.context // 2) if short else (plan.batch, plan.context)
        batch = text.windows(rng, windows, length + 1)
        loss = next_byte_loss(model, batch)
        _update(opts, loss, learning_rate(step, steps))
        _progress("text", step, steps, loss, began)


def next_byte_loss(model: TorchTransformer, batch: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy in nats per byte."""
    import torch
    from torch.nn import functional

    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(batch[:, :-1])
    return functional.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())


def distil(draft: TorchTransformer, target: TorchTransformer, text: TrainingText, plan: TrainingPlan) -> None:
    """Fit the draft to the target's next-byte distributions (cross-entropy against p), several times over."""
    import torch

    rng = np.random.default_rng(plan.seed + 1)
    opts = optimisers(draft, plan.draft_rate / 2)
    began = time.perf_counter()
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    steps = plan.distill_steps * plan.distill_epochs
    for step in range(steps):
        if step < plan.distill_steps:
            batch = text.windows(rng, plan.batch, plan.context)
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                seen.append((batch, target(batch).float().softmax(-1).half()))
        batch, wanted = seen[step % len(seen)]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = draft(batch)
        loss = -(wanted.float() * logits.float().log_softmax(-1)).sum(-1).mean()
        _update(opts, loss, learning_rate(step, steps))
        _progress("distil", step, steps, loss, began)


def _update(opts: list[torch.optim.Optimizer], loss: torch.Tensor, share: float) -> None:
    for optimiser in opts:
        optimiser.zero_grad(set_to_none=True)
    loss.backward()
    for optimiser in opts:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * share
        optimiser.step()


def _progress(stage: str, step: int, steps: int, loss: torch.Tensor, began: float) -> None:
    if step % 20 == 0 or step == steps - 1:
        bits = loss.item() / math.log(2)
        print(
            f"{stage} {step}/{steps}: {bits:.3f} bits/byte, {time.perf_counter() - began:.0f} s",
            file=sys.stderr,
            flush=True,
        )


def train_pair(plan: TrainingPlan, text: TrainingText) -> tuple[dict[str, Tensors], dict[str, float]]:
    """Both models' tensors by role, and the seconds that each stage took."""
    import torch

    from dsd_plan.pair.torch_model import TorchTransformer

    generator = torch.Generator().manual_seed(plan.seed)
    target, draft = (TorchTransformer(shape, generator) for shape in (TARGET_SHAPE, DRAFT_SHAPE))
    marks = [time.perf_counter()]
    fit_text(target, text, plan, steps=plan.target_steps, rate=plan.target_rate)
    marks.append(time.perf_counter())
    fit_text(draft, text, plan, steps=plan.draft_steps, rate=plan.draft_rate)
    marks.append(time.perf_counter())
    distil(draft, target, text, plan)
    marks.append(time.perf_counter())
    seconds = dict(
        zip(("target_text", "draft_text", "draft_distillation"), np.diff(marks).round(1).tolist(), strict=True)
    )
    tensors = {
        role: {name: weight.detach().numpy() for name, weight in model.weights.items()}
        for role, model in (("target", target), ("draft", draft))
    }
    return tensors, seconds


def write_pair(
    folder: Path,
    tensors: dict[str, Tensors],
    plan: TrainingPlan,
    text: TrainingText,
    seconds: dict[str, float],
    machine: str,
) -> None:
    """Store both models as int8 in ``folder``, with ``provenance.json``: how they were made, and how good they are."""
    import torch
    from safetensors.numpy import save

    folder.mkdir(parents=True, exist_ok=True)
    windows = held_out_windows(HELD_OUT_WINDOW, HELD_OUT_EVERY)
    models, loaded = {}, {}
    for role, shape in (("target", TARGET_SHAPE), ("draft", DRAFT_SHAPE)):
        stored = quantise(tensors[role])
        content = save(stored)
        (folder / f"{role}.safetensors").write_bytes(content)
        loaded[role] = Transformer(shape, dequantise(stored))
        models[role] = {
            "shape": asdict(shape),
            "parameters": shape.parameters,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "stored_as": "int8, one float32 scale a row; gains float32",
            "held_out_bits_per_byte": round(bits_per_byte(loaded[role], windows), 4),
            "held_out_bits_per_byte_unquantised": round(bits_per_byte(Transformer(shape, tensors[role]), windows), 4),
            "quantisation_relative_rms_error": round(_relative_error(tensors[role], dequantise(stored)), 5),
        }
    prompts = library_prompts(96, prompt_tokens=128, seed=plan.seed)
    outputs = run_prompts(
        loaded["target"], loaded["draft"], prompts, window=4, output_tokens=128, temperature=1.0, seed=plan.seed
    )
    provenance = {
        "corpus": {
            "text": "the .py files of Python's standard library, without the held-out modules and their tests",
            "licence": "PSF-2.0",
            "python": platform.python_version(),
            "files": text.files,
            "bytes": len(text.data),
            "held_out_modules": sorted(HELD_OUT),
        },
        "training": {
            **asdict(plan),
            "seconds": seconds,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "machine": machine,
        },
        "held_out_measure": f"every {HELD_OUT_EVERY}th window of {HELD_OUT_WINDOW} bytes of the held-out modules",
        "agreement_argmax_temperature_1": asdict(agreement(prompts, outputs)),
        "models": models,
    }
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")


def _relative_error(exact: Tensors, rounded: Tensors) -> float:
    """Root mean square error of the weights over their root mean square, all tensors together."""
    error = sum(float(np.square(exact[name] - rounded[name]).sum()) for name in exact)
    return math.sqrt(error / sum(float(np.square(tensor).sum()) for tensor in exact.values()))


def main(arguments: list[str] | None = None) -> None:
    """Train both models and write them, with their provenance, to a folder."""
    defaults = TrainingPlan()
    parser = argparse.ArgumentParser(prog="python -m dsd_plan.pair.train", description=__doc__)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the weights and provenance.json")
    for name in ("target_steps", "draft_steps", "distill_steps", "seed"):
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=getattr(defaults, name))
    parser.add_argument("--machine", default=f"{os.cpu_count()}-core {platform.machine()}")
    chosen = vars(parser.parse_args(arguments))
    folder, machine = chosen.pop("out"), chosen.pop("machine")
    if find_spec("torch") is None:
        parser.error("training needs PyTorch: pip install 'dsd-plan[torch]'")
    library = library_folder()
    text = TrainingText(training_files(library), library)
    plan = replace(defaults, **chosen)
    tensors, seconds = train_pair(plan, text)
    write_pair(folder, tensors, plan, text, seconds, machine)


if __name__ == "__main__":
    main()
