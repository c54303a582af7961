"""A batch of images on its way through the blocks of CLIP's image tower, and what is kept of the way if asked for."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from mmseg_tfovss.encoders.clip import CLIPBlock, Grid, Projections


@dataclass(frozen=True)
class Keep:
    """What a method wants to know of blocks, by their numbers from 1; computed and held for these only.

    Attributes:
        tokens: what comes out of these blocks, (B, 1 + N, C).
        projections: query, key and value in these blocks, each (B, heads, 1 + N, C / heads).
        attention: softmax(q k^T / sqrt(d)) in these blocks, (B, heads, 1 + N, 1 + N).
        keys: the keys in these blocks, where queries and values would be a waste of memory.
    """

    tokens: Collection[int] = ()
    projections: Collection[int] = ()
    attention: Collection[int] = ()
    keys: Collection[int] = ()

    def check(self, blocks: int) -> None:
        """Raise ValueError for a block that a tower of so many does not have."""
        for number in (*self.tokens, *self.projections, *self.attention, *self.keys):
            if not 1 <= number <= blocks:
                raise ValueError(f"Block {number} is to be kept, but CLIP's image tower has the blocks 1 .. {blocks}.")

    def projects(self, number: int) -> bool:
        """Whether a block's projections are needed beforehand."""
        return any(number in blocks for blocks in (self.projections, self.attention, self.keys))


@dataclass
class Stream:
    """Images between two blocks.

    Attributes:
        images: (B, 3, H, W), normalised.
        grid: h and w of their N patches.
        tokens: (B, 1 + N, C), class token first.
        given: what the method hands to its own ``attend``, by name: features of a companion, say.
        second: (B, 1 + N, C), of a second path beside this one (:mod:`mmseg_tfovss.methods.dual_path`); None before it
            begins.
        kept_tokens: by block, of :class:`Keep`.
        projections: likewise.
        attention: likewise.
        keys: likewise.
        notes: of plug-ins, by name; for this pass only.
        totals: what a method adds up over blocks, by name, see :meth:`add`.
    """

    images: Tensor
    grid: Grid
    tokens: Tensor
    given: Mapping[str, Tensor] = field(default_factory=dict)
    second: Tensor | None = None
    kept_tokens: dict[int, Tensor] = field(default_factory=dict)
    projections: dict[int, Projections] = field(default_factory=dict)
    attention: dict[int, Tensor] = field(default_factory=dict)
    keys: dict[int, Tensor] = field(default_factory=dict)
    notes: dict[str, dict[int, list[Tensor]]] = field(default_factory=dict)
    totals: dict[str, Tensor] = field(default_factory=dict)

    def add(self, name: str, values: Tensor) -> None:
        """Add to a total, for methods that want a mean over blocks without keeping what it is of."""
        if name in self.totals:
            self.totals[name] += values
        else:
            self.totals[name] = values.clone()

    def project(self, number: int, block: CLIPBlock, keep: Keep) -> Projections | None:
        """A block's projections, if they are wanted, kept with its attention as far as that is."""
        if not keep.projects(number):
            return None
        projections = block.qkv(self.tokens)
        if number in keep.projections:
            self.projections[number] = projections
        if number in keep.attention:
            self.attention[number] = block.attention_weights(*projections[:2])
        if number in keep.keys:
            self.keys[number] = projections[1].contiguous()  # a copy: the keys are a view of all three
        return projections


class BlockPlugin(Protocol):
    """Something that takes the place of early blocks, or changes what comes out of them."""

    def run_block(
        self, number: int, block: CLIPBlock, stream: Stream, projections: Projections | None
    ) -> Tensor | None:
        """Run a block (number from 1) on ``stream.tokens`` in its own way: (B, 1 + N, C); None: as it was trained."""

    def after_block(self, number: int, stream: Stream) -> Tensor:
        """The tokens (B, 1 + N, C) that go on from ``stream.tokens``, which came out of a block."""
