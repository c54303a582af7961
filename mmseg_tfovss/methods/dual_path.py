"""For methods with a second path through CLIP's last blocks, in which patches attend to patches that are like them."""

from torch import Tensor

from mmseg_tfovss.encoders.clip import CLIPBlock, Projections
from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.methods.base import OpenVocabSegmentor


class DualPath(OpenVocabSegmentor):
    """CLIP's path x stays what it is; in the last ``dual_blocks`` blocks a second path s reads it.

        s <- s + self_self(x),  x <- block(x)          (no feed-forward in s; s begins as x)

    What leaves the last block is s. A method sets ``dual_blocks`` and gives :meth:`self_self`.
    """

    dual_blocks: int
    chained: bool = True  # s <- s + ..; otherwise s <- self_self(x), of which only the last block's is left

    def self_self(self, block: CLIPBlock, tokens: Tensor, projections: Projections) -> Tensor:
        """Attention of the second path.

        Args:
            block: the block.
            tokens: its input on CLIP's path, (B, 1 + N, C), class token first.
            projections: query, key and value of the tokens, each (B, heads, 1 + N, d).

        Returns:
            What is added to the second path, (B, 1 + N, C).
        """
        raise NotImplementedError

    def early_block(self, number: int, block: CLIPBlock, stream: Stream, projections: Projections | None) -> Tensor:
        """A block before the last one: both paths, if it is among the dual ones, with the same projections."""
        if self.chained and number > len(self.backbone.blocks) - self.dual_blocks:
            projections = projections or block.qkv(stream.tokens)
            self.advance(block, stream.tokens, projections, stream)
        return super().early_block(number, block, stream, projections)

    def last_block(self, block: CLIPBlock, tokens: Tensor, stream: Stream) -> Tensor:
        """The last block of the second path; CLIP's own ends before it."""
        return self.advance(block, tokens, block.qkv(tokens), stream)

    def advance(self, block: CLIPBlock, tokens: Tensor, projections: Projections, stream: Stream) -> Tensor:
        """The second path through a block, of CLIP's tokens before it: (B, 1 + N, C)."""
        added = self.self_self(block, tokens, projections)
        if self.chained:
            added = (tokens if stream.second is None else stream.second) + added
        stream.second = added
        return added


def read_dual_blocks(name: str, value: object, layers: int, *, usual: int, beside: int = 0) -> int:
    """The number of dual blocks that an option means.

    Args:
        name: of the option.
        value: the number of blocks + ``beside``; None: ``usual`` blocks, or all of a tower that has fewer.
        layers: blocks of the tower.
        usual: see ``value``.
        beside: likewise.

    Raises:
        ValueError: a number of blocks that the tower does not have.
    """
    if value is None:
        return min(usual, layers)
    low, high = 1 + beside, layers + beside
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(
            f"model.{name} must be None or from {low} to {high}, for a tower of {layers} blocks, but got {value!r}."
        )
    return value - beside
