"""Self-attention with relative positions, as in SAM's image encoder, some rows of queries at a time.

    A = softmax(q k^T / sqrt(d) + R),   R between places (y, x) and (y', x') = q . h[y - y'] + q . w[x - x']

A grid of 64 x 64 places has 4096^2 pairs: maps of all heads would take 800 MB in SAM's smallest network, R as much.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_ELEMENTS = 2**24  # of the maps that are in memory at once


@dataclass(frozen=True)
class RelativeAttention:
    """One attention on its input.

    Attributes:
        query: (B, heads, N, d), N = H W places.
        key: likewise.
        value: likewise.
        rows: (B, heads, N, H), what a query adds for each row of places; ``None``: it has no relative positions.
        columns: (B, heads, N, W), likewise.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    rows: Tensor | None
    columns: Tensor | None

    @classmethod
    def of(cls, module: Any, tokens: Tensor) -> "RelativeAttention":  # noqa: ANN401 - transformers' SamVisionAttention
        """The attention of a module of transformers' on tokens (B, H, W, C)."""
        batch, height, width, _ = tokens.shape
        projected = module.qkv(tokens).view(batch, height * width, 3, module.num_attention_heads, -1)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)
        if not module.use_rel_pos:
            return cls(query, key, value, None, None)
        square = query.unflatten(2, (height, width))  # (B, heads, H, W, d)
        with tokens.device:  # transformers would make the places' numbers on the CPU, and copy them in every block
            vertical = module.get_rel_pos(height, height, module.rel_pos_h)  # (H, H, d)
            horizontal = module.get_rel_pos(width, width, module.rel_pos_w)
        rows = torch.einsum("bnhwc,hkc->bnhwk", square, vertical).flatten(2, 3)
        columns = torch.einsum("bnhwc,wkc->bnhwk", square, horizontal).flatten(2, 3)
        return cls(query, key, value, rows, columns)

    def weights(self, queries: slice | Tensor) -> Tensor:
        """Softmax of the scores of some queries with every place, (B, heads, n, N); rows sum to 1."""
        query = self.query[:, :, queries]
        scores = (query * query.shape[-1] ** -0.5) @ self.key.transpose(2, 3)
        bias = self._bias(queries)
        return (scores if bias is None else scores.add_(bias)).softmax(dim=-1)

    def output(self) -> Tensor:
        """A v, (B, heads, N, d)."""
        found = [
            F.scaled_dot_product_attention(
                self.query[:, :, queries], self.key, self.value, attn_mask=self._bias(queries)
            )
            for queries in self._chunks()
        ]
        return torch.cat(found, dim=2)

    def _chunks(self) -> Iterator[slice]:
        batch, heads, count, _ = self.query.shape
        step = max(_ELEMENTS // (batch * heads * count), 1)
        yield from (slice(start, start + step) for start in range(0, count, step))

    def _bias(self, queries: slice | Tensor) -> Tensor | None:
        if self.rows is None or self.columns is None:
            return None
        return (self.rows[:, :, queries, :, None] + self.columns[:, :, queries, None, :]).flatten(3)


def attend(module: Any, hidden_states: Tensor, output_attentions: object = None) -> tuple[Tensor, None]:  # noqa: ANN401
    """In place of the forward pass of transformers' SamVisionAttention: tokens (B, H, W, C) to tokens."""
    batch, height, width, _ = hidden_states.shape
    heads = RelativeAttention.of(module, hidden_states).output()
    return module.proj(heads.transpose(1, 2).reshape(batch, height, width, -1)), None
