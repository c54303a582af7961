"""For methods that find the regions of an image: one class for each region, found while the network goes on."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.methods.options import check_choice
from mmseg_tfovss.methods.stages import Refined, Scene
from mmseg_tfovss.ops.canvas import Canvas, PatchCanvas
from mmseg_tfovss.ops.clustering import RegionCanvas

VOTINGS = ("majority", "mean_logits")


class RegionVoting(OpenVocabSegmentor):
    """Give every region one class. In ``whole`` mode a method overrides :meth:`find_regions`.

    In sliding windows the method itself replaces logits by means over regions, in ``encode``.

    Args:
        voting: how a region finds its class: ``majority`` of its pixels' classes, or the class of their
            ``mean_logits``. Sliding windows take ``mean_logits`` only, because windows overlap. ``None``: the first
            that the mode allows.
        **kwargs: see :class:`OpenVocabSegmentor`.

    Raises:
        ValueError: an unknown voting, or one that the other settings exclude.
    """

    labels_in_threads = True
    votes_off = "voting='mean_logits'"

    def __init__(self, *, voting: str | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.voting = voting or VOTINGS[self.mode != "whole"]
        check_choice("voting", self.voting, VOTINGS)
        if self.voting == "majority" and self.mode != "whole":
            raise ValueError(
                "model.voting='majority' needs model.test_cfg.mode='whole': overlapping windows cannot vote."
            )
        refined = self.pamr_steps or self.decode_head.area_threshold
        if self.voting == "mean_logits" and self.mode == "whole" and refined:
            raise ValueError("model.voting='mean_logits' on whole images takes neither PAMR nor an area_threshold.")

    @property
    def votes(self) -> bool:  # type: ignore[override]
        """Whether regions take a majority of classes, and not their mean logits."""
        return self.voting == "majority"

    def find_regions(self, scene: Scene, canvases: Mapping[str, Canvas]) -> Tensor | None:
        """Region ids (H, W) from 0 on, of the original image; None: pixels keep their own classes."""
        raise NotImplementedError

    def refine(self, scene: Scene, canvases: Mapping[str, Canvas]) -> Refined:
        """Find regions; their pixels vote with their classes (in ``label``), or share their mean logits."""
        refined = super().refine(scene, canvases)
        regions = self.find_regions(scene, canvases) if self.mode == "whole" else None
        if regions is None or self.voting == "majority":
            return replace(refined, regions=regions)
        assert isinstance(refined.logits, PatchCanvas)
        return Refined(RegionCanvas(refined.logits, regions))
