"""The dimensions of a transformer, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Dimensions of a Llama-style decoder: RMSNorm, RoPE, SwiGLU, tied embedding, no biases."""

    vocab: int
    """Number of token ids; 256 for byte-level models."""
    width: int
    """Size of the residual stream."""
    layers: int
    heads: int
    """Query heads; ``width`` is divided evenly among them."""
    kv_heads: int
    """Key/value heads; ``heads`` is a multiple of it (grouped-query attention)."""
    ffn: int
    """Inner size of the gated feed-forward block."""
    rope_base: float = 10_000.0
    max_context: int = 512
    """Longest sequence the model was trained on; a cache may not grow past it."""

    def __post_init__(self) -> None:
        for name in ("vocab", "width", "layers", "heads", "kv_heads", "ffn", "max_context"):
            if getattr(self, name) < 1:
                raise ValueError(f"ModelShape.{name} is {getattr(self, name)}; it must be at least 1")
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} must split into {self.heads} heads of even size (RoPE pairs)")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} must be a multiple of kv_heads {self.kv_heads}")
        if self.rope_base <= 1.0:
            raise ValueError(f"rope_base is {self.rope_base}; it must exceed 1")

    @property
    def head_size(self) -> int:
        """Width of one head."""
        return self.width // self.heads

    @property
    def kv_width(self) -> int:
        """Width of the keys (and of the values) of one token in one layer."""
        return self.kv_heads * self.head_size

    @property
    def parameters(self) -> int:
        """Number of weights, the tied embedding counted once."""
        return sum(rows * columns for rows, columns in self.tensors().values())

    @property
    def weight_bytes(self) -> int:
        """Bytes of the weights as they are held at run time (float32)."""
        return 4 * self.parameters

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of keys and values that one token adds to the cache, over all layers (float32)."""
        return 4 * 2 * self.layers * self.kv_width

    def tensors(self) -> dict[str, tuple[int, int]]:
        """Name and (rows, columns) of every tensor; a norm's gain is one row. Matrices map columns to rows."""
        named = {"embedding": (self.vocab, self.width), "norm": (1, self.width)}
        for layer in range(self.layers):
            prefix = f"layers.{layer}."
            named[prefix + "attention_norm"] = (1, self.width)
            named[prefix + "qkv"] = (self.width + 2 * self.kv_width, self.width)
            named[prefix + "attention_out"] = (self.width, self.width)
            named[prefix + "ffn_norm"] = (1, self.width)
            named[prefix + "gate_up"] = (2 * self.ffn, self.width)
            named[prefix + "down"] = (self.width, self.ffn)
        return named
