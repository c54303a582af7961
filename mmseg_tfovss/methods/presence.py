"""For methods that heed which classes an image shows: a prior on all patches, and texts that move towards the image."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.acting import Needs, above_zero
from mmseg_tfovss.checks import check_range
from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.methods.options import check_choice
from mmseg_tfovss.methods.stages import LOGITS, Maps, Scene, Seen, Windows
from mmseg_tfovss.ops.presence import LINKAGES, adjust_texts, cluster_texts, mix_presence

PRESENCE = "presence of classes"  # what is seen of an image: g (Q,)
CLASS_TOKEN = "class token only"  # given to passes that want nothing but v


class Presence(OpenVocabSegmentor):
    """Mix a prior of the classes into the logits of adjusted texts; see :mod:`mmseg_tfovss.ops.presence`.

    A method gives the last block, whose class token is that of the block as it was trained. Passes of whole images are
    given ``CLASS_TOKEN``: nothing else of them is needed.

    Args:
        gamma: share of the presence prior in the logits, in [0, 1]; 0 leaves it out.
        alpha: share of patches in adjusted texts, in [0, 1]; 0 leaves texts as they are.
        t: cosine distance at which the tree of texts is cut into clusters, >= 0.
        linkage: of that tree: ``complete`` or ``ward``.
        prior_from: the prior is of the whole ``image`` (one more pass), or of each ``window`` (Cityscapes). With whole
            images the two are the same.
        **kwargs: see :class:`OpenVocabSegmentor`.

    Raises:
        ValueError: a setting out of range, or ``decode_head.subtracted_text``.
    """

    acts_with: ClassVar[Mapping[str, Needs]] = {
        "t": above_zero("alpha"),
        "linkage": above_zero("alpha"),
        "prior_from": Needs(
            "model.test_cfg.mode='slide', and {}.gamma or {}.alpha above 0",
            lambda value: value("test_cfg.mode") != "whole" and (value("gamma") != 0 or value("alpha") != 0),
        ),
    }

    def __init__(
        self, *, gamma: float, alpha: float, t: float, linkage: str, prior_from: str, **kwargs: object
    ) -> None:
        check_choice("linkage", linkage, LINKAGES)
        check_choice("prior_from", prior_from, ("image", "window"))
        check_range("model.gamma", gamma, 0, 1)
        check_range("model.alpha", alpha, 0, 1)
        check_range("model.t", t, 0, math.inf)
        super().__init__(**kwargs)  # type: ignore[arg-type]
        if self.decode_head.subtracted_text is not None:
            raise ValueError(
                f"model.decode_head.subtracted_text must be None: {type(self).__name__} clusters and adjusts texts of"
                " length 1, which differences of texts are not."
            )
        self.gamma, self.alpha, self.t, self.linkage, self.prior_from = gamma, alpha, t, linkage, prior_from
        self._clustered: tuple[Tensor, Tensor] | None = None  # texts and their clusters
        self._clusters = 0  # how many there are

    def look(self, scenes: Sequence[Scene]) -> dict[str, Seen]:
        """The presence g (B, Q) of classes in whole images, unless windows have their own."""
        if self.mode == "whole" or self.prior_from == "window" or not (self.gamma or self.alpha):
            return {}
        return {PRESENCE: self.find_presence(torch.stack([scene.image for scene in scenes]))}

    def find_presence(self, images: Tensor, stream: Stream | None = None) -> Tensor:
        """Cosines g (B, Q) of images (B, 3, H, W) and texts.

        Args:
            images: normalised.
            stream: of the same images, if they have been through the blocks already.
        """
        stream = stream or self.run_blocks(images, {CLASS_TOKEN: images.new_ones(())})
        vector = F.normalize(self.backbone.project(stream.tokens[:, :1])[:, 0], dim=-1)  # v (B, D)
        return vector @ self.decode_head.text_features.to(vector.dtype).T

    def encode(self, windows: Windows) -> Maps:
        """Cosines of patches and adjusted texts, mixed with the prior."""
        stream = self.run_blocks(windows.images)
        features = F.normalize(self.backbone.project(stream.tokens[:, 1:]), dim=-1)  # F (n, N, D)
        seen = any(PRESENCE in scene.seen for scene in windows.scenes)
        presence = windows.seen(PRESENCE) if seen else self.find_presence(windows.images, stream)  # g (n, Q)
        presence = presence.to(features.dtype)
        texts = self.decode_head.text_features.to(features.dtype)  # T (Q, D)
        adjusted = texts.expand(len(features), -1, -1)
        if self.alpha:
            clusters = self.text_clusters()
            adjusted = adjust_texts(texts, features, presence, clusters, self.alpha, count=self._clusters)
        logits = (adjusted @ features.transpose(1, 2)).unflatten(2, stream.grid)
        return {LOGITS: mix_presence(logits, presence, self.gamma)}

    def text_clusters(self) -> Tensor:
        """Ids (Q,) of the texts' clusters, made once."""
        texts = self.decode_head.text_features
        if self._clustered is None or self._clustered[0] is not texts:
            self._clustered = texts, cluster_texts(texts, self.t, self.linkage)
            self._clusters = int(self._clustered[1].max()) + 1
        return self._clustered[1]
