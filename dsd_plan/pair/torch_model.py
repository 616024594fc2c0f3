"""The same network in PyTorch, plain: what training runs, and what the numpy inference is tested against."""

from __future__ import annotations

import math
from typing import Any

from dsd_plan.pair.shape import ModelShape

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional
except ImportError as missing:  # pragma: no cover - depends on the installation
    raise ImportError("training the bundled pair needs PyTorch: pip install 'dsd-plan[torch]'") from missing


def rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding (Su et al. 2104.09864, Eq. 34), first half paired with the second half."""
    half = heads.shape[-1] // 2
    first, second = heads[..., :half], heads[..., half:]
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)


class TorchTransformer(nn.Module):
    """Decoder of a ``ModelShape``; parameters carry the names that ``ModelShape.tensors`` gives."""

    def __init__(self, shape: ModelShape, generator: torch.Generator) -> None:
        super().__init__()
        self.shape = shape
        self.weights: dict[str, nn.Parameter] = {}
        for name, (rows, columns) in shape.tensors().items():
            if rows == 1:
                initial = torch.ones(columns)
            else:
                initial = torch.randn(rows, columns, generator=generator) / math.sqrt(columns)
                if name == "embedding":
                    initial *= 0.5
                if name.endswith(("attention_out", "down")):
                    initial *= 0.25
            self.weights[name] = nn.Parameter(initial)
            self.register_parameter(name.replace(".", "_"), self.weights[name])
        rates = shape.rope_base ** (-torch.arange(0, shape.head_size, 2, dtype=torch.float64) / shape.head_size)
        angles = torch.arange(shape.max_context, dtype=torch.float64)[:, None] * rates
        self.cos, self.sin = angles.cos().float(), angles.sin().float()

    def normalised(self, hidden: Tensor, name: str) -> Tensor:
        """Root-mean-square normalisation (Zhang and Sennrich 1910.07467) with the gain called ``name``."""
        hidden = hidden.float()
        scale = torch.rsqrt(hidden.square().mean(-1, keepdim=True) + 1e-5)
        return hidden * scale * self.weights[name]

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (batch, length, vocab) of int64 ``tokens`` (batch, length)."""
        shape, weights = self.shape, self.weights
        batch, length = tokens.shape
        cos, sin = self.cos[:length], self.sin[:length]
        hidden = functional.embedding(tokens, weights["embedding"])
        for layer in range(shape.layers):
            prefix = f"layers.{layer}."
            qkv = functional.linear(self.normalised(hidden, prefix + "attention_norm"), weights[prefix + "qkv"])
            query, key, value = qkv.split((shape.width, shape.kv_width, shape.kv_width), dim=-1)
            query = query.view(batch, length, shape.heads, shape.head_size).transpose(1, 2)
            key = key.view(batch, length, shape.kv_heads, shape.head_size).transpose(1, 2)
            value = value.view(batch, length, shape.kv_heads, shape.head_size).transpose(1, 2)
            query = rotate(query, cos.to(query.dtype), sin.to(query.dtype))
            key = rotate(key, cos.to(key.dtype), sin.to(key.dtype))
            group = shape.heads // shape.kv_heads
            mixed = functional.scaled_dot_product_attention(
                query, key.repeat_interleave(group, 1), value.repeat_interleave(group, 1), is_causal=True
            )
            mixed = mixed.transpose(1, 2).reshape(batch, length, shape.width)
            hidden = hidden + functional.linear(mixed, weights[prefix + "attention_out"])
            gate_up = functional.linear(self.normalised(hidden, prefix + "ffn_norm"), weights[prefix + "gate_up"])
            gate, up = gate_up.chunk(2, dim=-1)
            hidden = hidden + functional.linear(functional.silu(gate) * up, weights[prefix + "down"])
        return functional.linear(self.normalised(hidden, "norm"), weights["embedding"])


class Muon(torch.optim.Optimizer):
    """Momentum whose step is orthogonalised by Newton-Schulz iterations (Jordan et al. 2024, "Muon").

    For matrices inside the blocks; it needs about half the tokens that Adam needs for the same loss.
    """

    def __init__(self, parameters: list[tuple[nn.Parameter, int]], momentum: float = 0.95) -> None:
        """``parameters``: (matrix, number of equal blocks of rows that are stepped apart)."""
        super().__init__([matrix for matrix, _ in parameters], {"lr": 0.02})
        self.blocks = dict(parameters)
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """One update with every group's current ``lr``."""
        for group in self.param_groups:
            for matrix in group["params"]:
                state = self.state[matrix]
                if not state:
                    state["momentum"] = torch.zeros_like(matrix)
                state["momentum"].lerp_(matrix.grad, 1.0 - self.momentum)
                direction = matrix.grad.lerp(state["momentum"], self.momentum)
                for rows, part in zip(
                    matrix.chunk(self.blocks[matrix]), direction.chunk(self.blocks[matrix]), strict=True
                ):
                    scale = max(1.0, rows.shape[0] / rows.shape[1]) ** 0.5
                    rows.mul_(1.0 - group["lr"] * 0.05).add_(orthogonalised(part), alpha=-group["lr"] * scale)


def orthogonalised(matrix: Tensor, iterations: int = 5) -> Tensor:
    """A matrix with the singular vectors of ``matrix`` and singular values near 1."""
    work = matrix.bfloat16()
    wide = work.shape[0] <= work.shape[1]
    work = work if wide else work.T
    work = work / (work.norm() + 1e-7)
    for _ in range(iterations):
        gram = work @ work.T
        work = 3.4445 * work + (-4.7750 * gram + 2.0315 * gram @ gram) @ work
    return (work if wide else work.T).to(matrix.dtype)
