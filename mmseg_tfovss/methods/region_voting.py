"""For methods that find the regions of an image: one class for each region, found while the network goes on."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_tfovss.methods.base import OpenVocabSegmentor, check_choice
from mmseg_tfovss.ops.clustering import majority, region_logits
from mmseg_tfovss.ops.threads import work_in_threads
from mmseg_tfovss.ops.windows import DenseLogits, Size, WindowPlan

VOTINGS = ("majority", "mean_logits")


class RegionVoting(OpenVocabSegmentor):
    """Give every region one class. In ``whole`` mode a method overrides :meth:`find_regions`.

    The method's ``window_maps`` may have any maps behind the logits of the Q queries: ``find_regions`` sees them, what
    comes after it does not. Likewise images may have any channels behind their three colours, for ``window_maps``. In
    sliding windows the method itself replaces logits by means over regions.

    Args:
        voting: how a region finds its class: ``majority`` of its pixels' classes, or the class of their
            ``mean_logits``. Sliding windows take ``mean_logits`` only, because windows overlap. ``None``: the first
            that the mode allows.
        **kwargs: see :class:`OpenVocabSegmentor`.

    Raises:
        ValueError: an unknown voting, or one that the other settings exclude.
    """

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

    def find_regions(self, logits: DenseLogits) -> Tensor | None:
        """Region ids (H, W) from 0 on, of the original image; None: pixels keep their own classes."""
        raise NotImplementedError

    def stitch(self, plan: WindowPlan, patch_logits: Tensor, image: Tensor, target: Size) -> DenseLogits:
        """See :meth:`OpenVocabSegmentor.stitch`."""
        return super().stitch(plan, patch_logits, image[:3], target)

    def own_logits(self, logits: DenseLogits) -> DenseLogits:
        """The logits of the Q queries, without the maps behind them."""
        return replace(logits, patches=logits.patches[: self.decode_head.out_channels])

    @torch.inference_mode()
    def label(self, logits: DenseLogits) -> Tensor:
        """Class ids (H, W): the pixels' own, then one for each region."""
        own = self.own_logits(logits)
        regions = self.find_regions(logits) if self.mode == "whole" else None
        if regions is None:
            return super().label(own)
        if self.voting == "majority":
            return majority(super().label(own), regions, self.decode_head.num_classes)
        return self.decode_head.label(region_logits(own, regions))[:, 0][regions]

    def dense_logits(self, logits: DenseLogits) -> Tensor:
        """Logits (Q, H, W) at the original size, as the method states them (``logit_factor``), before voting."""
        return self.logit_factor * super().dense_logits(self.own_logits(logits))

    @torch.inference_mode()
    def predict(
        self, inputs: Tensor | Sequence[Tensor], data_samples: Sequence[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Label images, see :meth:`OpenVocabSegmentor.predict`.

        At most ``window_batch`` images at a time go through the network; while it works on the next ones, threads find
        the regions of the last ones, for that is work of the CPU.
        """
        if data_samples is None:
            data_samples = [SegDataSample(metainfo={"ori_shape": image.shape[-2:]}) for image in inputs]
        metas, step = [sample.metainfo for sample in data_samples], self.window_batch
        parts = [slice(start, start + step) for start in range(0, len(metas), step)]
        labels = work_in_threads(self.label, (self.inference(inputs[part], metas[part]) for part in parts))
        for sample, found in zip(data_samples, labels, strict=True):
            sample.set_data({"pred_sem_seg": PixelData(data=found[None])})
        return list(data_samples)
