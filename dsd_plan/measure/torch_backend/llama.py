"""A decoder of a `ModelShape` in plain PyTorch: random weights, a cache in place, grouped-query attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dsd_plan.measure.torch_backend.device import TorchDevice, torch_module
from dsd_plan.measure.torch_backend.shape import Dtype, ModelShape

Tensor = Any
"""``torch.Tensor``; PyTorch is imported by functions, so that the module loads without it."""

FOLDED_TOKENS = 64
"""Up to so many new tokens a sequence, query heads that share a key head are folded into one long query, and keys are
read once; beyond, keys are spread to all heads, which is little beside that many tokens' work."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Weights of one layer, each matrix of shape (out, in), as `torch.nn.functional.linear` takes them."""

    attention_norm: Tensor
    qkv: Tensor
    """Queries, keys and values, one below the other."""
    qkv_bias: Tensor | None
    query_norm: Tensor | None
    key_norm: Tensor | None
    attention_out: Tensor
    ffn_norm: Tensor
    gate_up: Tensor
    """The gate, and below it the input that it gates."""
    down: Tensor


@dataclass(frozen=True, slots=True)
class TorchLlama:
    """Weights of a decoder, and the forward pass."""

    shape: ModelShape
    embedding: Tensor
    layers: tuple[Layer, ...]
    norm: Tensor
    head: Tensor

    def first_layers(self, count: int) -> TorchLlama:
        """The same embedding, the first ``count`` layers, the same head; nothing is copied."""
        return TorchLlama(self.shape.with_layers(count), self.embedding, self.layers[:count], self.norm, self.head)

    def tensors(self) -> tuple[Tensor, ...]:
        """Everything that takes memory, each once."""
        found = [self.embedding, self.norm]
        if self.head is not self.embedding:
            found.append(self.head)
        for layer in self.layers:
            found += [tensor for tensor in _fields(layer) if tensor is not None]
        return tuple(found)

    @property
    def weight_bytes(self) -> int:
        """As allocated."""
        return sum(int(tensor.numel() * tensor.element_size()) for tensor in self.tensors())

    def forward(self, tokens: Tensor, context: int, cache: Cache, place: Place, last_only: bool = False) -> Tensor:
        """Logits, shape (batch, tokens, vocabulary), of ``tokens`` (batch, new) on top of ``context`` cached ones.

        Keys and values of the new tokens are written behind the context; ``last_only`` gives the last token's logits
        alone, as an engine wants them of a prompt.
        """
        from torch.nn import functional

        shape = self.shape
        hidden = functional.embedding(tokens, self.embedding)
        for layer, (keys, values) in zip(self.layers, cache, strict=False):
            normed = self._norm(hidden, layer.attention_norm)
            hidden = hidden + self._attention(layer, normed, context, keys, values, place)
            normed = self._norm(hidden, layer.ffn_norm)
            gate, up = functional.linear(normed, layer.gate_up).split(shape.intermediate, dim=-1)
            hidden = hidden + functional.linear(functional.silu(gate) * up, layer.down)
        if last_only:
            hidden = hidden[:, -1:]
        return functional.linear(self._norm(hidden, self.norm), self.head)

    def _attention(
        self, layer: Layer, normed: Tensor, context: int, keys: Tensor, values: Tensor, place: Place
    ) -> Tensor:
        from torch.nn import functional

        shape = self.shape
        batch, new = normed.shape[:2]
        qkv = functional.linear(normed, layer.qkv, layer.qkv_bias)
        qkv = qkv.view(batch, new, shape.heads + 2 * shape.kv_heads, shape.head_dim).transpose(1, 2)
        query, key, value = qkv.split((shape.heads, shape.kv_heads, shape.kv_heads), dim=1)
        if layer.query_norm is not None:
            query, key = self._norm(query, layer.query_norm), self._norm(key, layer.key_norm)
        query, key = _rotated(query, place), _rotated(key, place)
        keys[:, :, context:] = key
        values[:, :, context:] = value
        mixed = attended(query, keys, values, context, place.mask)
        return functional.linear(mixed.transpose(1, 2).reshape(batch, new, -1), layer.attention_out)

    def _norm(self, values: Tensor, weight: Tensor) -> Tensor:
        from torch.nn import functional

        return functional.rms_norm(values, (values.shape[-1],), weight, self.shape.norm_eps)


Cache = tuple[tuple[Tensor, Tensor], ...]
"""Keys and values of every layer, each (batch, key heads, context + new tokens, head size)."""


@dataclass(frozen=True, slots=True)
class Place:
    """What depends on where the new tokens stand, and not on what they are."""

    cos: Tensor
    """Shape (new, head size)."""
    sin: Tensor
    mask: Tensor | None
    """What each query sees, as `attended` takes it; None where all see all, or the order alone says it."""


def place_of(shape: ModelShape, context: int, new: int, dtype: Dtype, device: TorchDevice) -> Place:
    """Rotations (Su et al. 2104.09864, Eq. 34) and mask of ``new`` tokens behind ``context``."""
    torch = torch_module()
    half = torch.arange(0, shape.head_dim, 2, dtype=torch.float32, device=device.name) / shape.head_dim
    positions = torch.arange(context, context + new, dtype=torch.float32, device=device.name)
    angles = positions[:, None] * shape.rope_theta**-half
    angles = torch.cat((angles, angles), dim=-1)
    as_dtype = getattr(torch, dtype)
    return Place(angles.cos().to(as_dtype), angles.sin().to(as_dtype), _mask(shape, context, new, device))


def _mask(shape: ModelShape, context: int, new: int, device: TorchDevice) -> Tensor | None:
    if new == 1 or (new > FOLDED_TOKENS and context == 0):
        return None
    torch = torch_module()
    sees = torch.ones(new, context + new, dtype=torch.bool, device=device.name).tril(context)
    return sees.repeat(shape.heads // shape.kv_heads, 1) if new <= FOLDED_TOKENS else sees


def attended(query: Tensor, keys: Tensor, values: Tensor, context: int, mask: Tensor | None) -> Tensor:
    """Attention of ``query`` (batch, heads, new, size) over ``keys`` and ``values`` (batch, key heads, all, size).

    Token i of the new ones sees the context and the new tokens up to itself.
    """
    from torch.nn import functional

    batch, heads, new, size = query.shape
    kv_heads = keys.shape[1]
    if new <= FOLDED_TOKENS:
        folded = query.reshape(batch, kv_heads, -1, size)
        mixed = functional.scaled_dot_product_attention(folded, keys, values, attn_mask=mask)
        return mixed.reshape(batch, heads, new, size)
    if heads != kv_heads:
        keys, values = _spread(keys, heads), _spread(values, heads)
    return functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask, is_causal=context == 0)


def _spread(shared: Tensor, heads: int) -> Tensor:
    batch, kv_heads, length, size = shared.shape
    spread = shared[:, :, None].expand(batch, kv_heads, heads // kv_heads, length, size)
    return spread.reshape(batch, heads, length, size)


def _rotated(heads: Tensor, place: Place) -> Tensor:
    torch = torch_module()
    first, second = heads.chunk(2, dim=-1)
    return heads * place.cos + torch.cat((-second, first), dim=-1) * place.sin


def random_llama(shape: ModelShape, dtype: Dtype, device: TorchDevice, seed: int = 0) -> TorchLlama:
    """Weights drawn from a normal law: how long a step takes does not depend on what they say."""
    torch = torch_module()
    generator = torch.Generator(device.name).manual_seed(seed)
    as_dtype = getattr(torch, dtype)

    def matrix(rows: int, columns: int) -> Tensor:
        empty = torch.empty(rows, columns, dtype=as_dtype, device=device.name)
        return empty.normal_(0.0, columns**-0.5, generator=generator)

    def ones(size: int) -> Tensor:
        return torch.ones(size, dtype=as_dtype, device=device.name)

    def layer() -> Layer:
        return Layer(
            attention_norm=ones(shape.hidden),
            qkv=matrix(shape.qkv_size, shape.hidden),
            qkv_bias=matrix(1, shape.qkv_size)[0] if shape.qkv_bias else None,
            query_norm=ones(shape.head_dim) if shape.qk_norm else None,
            key_norm=ones(shape.head_dim) if shape.qk_norm else None,
            attention_out=matrix(shape.hidden, shape.heads * shape.head_dim),
            ffn_norm=ones(shape.hidden),
            gate_up=matrix(2 * shape.intermediate, shape.hidden),
            down=matrix(shape.hidden, shape.intermediate),
        )

    embedding = matrix(shape.vocab, shape.hidden)
    return TorchLlama(
        shape=shape,
        embedding=embedding,
        layers=tuple(layer() for _ in range(shape.layers)),
        norm=ones(shape.hidden),
        head=embedding if shape.tied_embeddings else matrix(shape.vocab, shape.hidden),
    )


def llama_of(shape: ModelShape, weights: Mapping[str, Tensor]) -> TorchLlama:
    """From tensors under the names that Hugging Face gives them (``model.layers.0.self_attn.q_proj.weight``, …)."""
    torch = torch_module()

    def of(index: int) -> Layer:
        def named(name: str) -> Tensor:
            return weights[f"model.layers.{index}.{name}"]

        def qkv(kind: str) -> Tensor:
            return torch.cat([named(f"self_attn.{part}_proj.{kind}") for part in "qkv"])

        return Layer(
            attention_norm=named("input_layernorm.weight"),
            qkv=qkv("weight"),
            qkv_bias=qkv("bias") if shape.qkv_bias else None,
            query_norm=named("self_attn.q_norm.weight") if shape.qk_norm else None,
            key_norm=named("self_attn.k_norm.weight") if shape.qk_norm else None,
            attention_out=named("self_attn.o_proj.weight"),
            ffn_norm=named("post_attention_layernorm.weight"),
            gate_up=torch.cat([named("mlp.gate_proj.weight"), named("mlp.up_proj.weight")]),
            down=named("mlp.down_proj.weight"),
        )

    embedding = weights["model.embed_tokens.weight"]
    return TorchLlama(
        shape=shape,
        embedding=embedding,
        layers=tuple(of(index) for index in range(shape.layers)),
        norm=weights["model.norm.weight"],
        head=embedding if shape.tied_embeddings else weights["lm_head.weight"],
    )


def _fields(layer: Layer) -> tuple[Tensor | None, ...]:
    return tuple(getattr(layer, name) for name in Layer.__slots__)


def greedy(forward: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """A step that also picks the likeliest token, as a device does before it may answer."""
    return lambda: forward().argmax(dim=-1)
