"""What every method shares: a frozen CLIP, words, windows, and labels at the original size.

    test_step -> data_preprocessor -> predict -> inference (whole | slide) -> encode_windows -> extract_feat
              -> decode_head (cosine) -> stitch -> refine (PAMR) -> postprocess_result (labels)

A paper overrides the smallest part that it changes, most often :meth:`OpenVocabSegmentor.last_block`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_tfovss.encoders.clip import CLIPBlock, Grid
from mmseg_tfovss.encoders.preprocessor import CLIPPreprocessor
from mmseg_tfovss.ops.labels import Block
from mmseg_tfovss.ops.pamr import pamr, pamr_affinity
from mmseg_tfovss.ops.windows import UPSAMPLINGS, DenseLogits, Size, WindowPlan

_TEST_CFG = {"mode", "crop_size", "stride"}
_PAMR_ELEMENTS = 1 << 23  # logits refined at a time


class OpenVocabSegmentor(EncoderDecoder):
    """Training-free open-vocabulary segmentor: an MMSeg ``EncoderDecoder`` with nothing to train.

    Args:
        backbone: config of the frozen image tower, e.g. ``dict(type='CLIPImageEncoder', arch='ViT-B-16')``.
        decode_head: config of the text head, e.g. ``dict(type='TextHead', vocabulary='voc21')``.
        test_cfg: MMSeg's: ``dict(mode='whole')`` or ``dict(mode='slide', crop_size=224, stride=112)``, in pixels of the
            resized image; sizes are a number or (height, width).
        data_preprocessor: config of the preprocessor; default: CLIP's normalisation.
        precision: ``fp32``, ``bf16`` or ``fp16`` for the linear layers of the image tower.
        window_batch: windows in one forward pass at most; bounds memory, changes nothing else.
        pad_to: pad every sliding window symmetrically with zeros to a multiple of this many pixels, or of the patch
            size (``"patch"``, ClearCLIP); ``None``: pixels beyond the last whole patch are dropped.
        whole_upsampling: in ``whole`` mode patch logits go to the original size ``direct`` (SCLIP, ClearCLIP) or
            ``two_step``, over the resized image (NACLIP).
        pamr_steps: iterations of PAMR on the full-size cosine logits; 0 switches it off.
        pamr_dilations: distances of PAMR's neighbours, in pixels.
        init_cfg: accepted because MMSeg passes it on; nothing is initialised.

    Raises:
        ValueError: a setting out of range.
    """

    logit_factor = 1.0  # of exported logits, relative to cosines
    extra_networks: ClassVar[tuple[str, ...]] = ()  # required options that name a network beside CLIP
    timed_steps: ClassVar[tuple[str, ...]] = ()  # methods that tools/benchmark.py times by themselves
    input_files: tuple[Path, ...] = ()  # that it has read, besides weights and words: part of a run's identity
    label_options: ClassVar[frozenset[str]] = frozenset()  # attributes that in ``whole`` mode only ``label`` reads

    def __init__(
        self,
        backbone: dict[str, Any],
        decode_head: dict[str, Any],
        test_cfg: dict[str, Any],
        data_preprocessor: dict[str, Any] | None = None,
        precision: str = "fp32",
        window_batch: int = 16,
        pad_to: int | str | None = None,
        whole_upsampling: str = "direct",
        pamr_steps: int = 0,
        pamr_dilations: Sequence[int] = (8, 16),
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        _check_options(window_batch, pad_to, whole_upsampling, pamr_steps, pamr_dilations)
        with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
            super().__init__(
                backbone=backbone,
                decode_head=decode_head,
                test_cfg=dict(test_cfg),
                data_preprocessor=data_preprocessor or {"type": CLIPPreprocessor},
                init_cfg=init_cfg,
            )
        self.mode, self.crop, self.stride = _read_test_cfg(self.test_cfg)
        self.backbone.set_precision(precision)
        self.window_batch = window_batch
        self.pad_to: int | None = self.backbone.patch_size if isinstance(pad_to, str) else pad_to
        self.whole_upsampling = whole_upsampling
        self.pamr_steps, self.pamr_dilations = pamr_steps, tuple(pamr_dilations)
        self.eval()

    # -- what papers override ---------------------------------------------------------------------------------------

    def last_block(self, block: CLIPBlock, tokens: Tensor, grid: Grid) -> Tensor:
        """The last block: tokens (B, 1 + hw, C), class token first -> tokens of the same shape."""
        return block(tokens)

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Map windows (B, 3, H, W) to patch features in text space (B, D, h, w)."""
        grid = self.backbone.grid(inputs)
        tokens = self.backbone.early_blocks(self.backbone.embed(inputs), grid)
        tokens = self.last_block(self.backbone.blocks[-1], tokens, grid)
        return self.backbone.to_text_space(tokens, grid)

    def patch_logits(self, inputs: Tensor) -> Tensor:
        """Cosine logits on the patch grid, (B, Q, h, w), of windows (B, 3, H, W)."""
        return self.decode_head(self.extract_feat(inputs))

    def window_maps(self, inputs: Tensor) -> Tensor:
        """What is put together from windows: ``patch_logits``, and behind them other maps that :meth:`label` needs."""
        return self.patch_logits(inputs)

    # -- MMSeg's life cycle -----------------------------------------------------------------------------------------

    @torch.inference_mode()
    def predict(
        self, inputs: Tensor | Sequence[Tensor], data_samples: Sequence[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Label images.

        Args:
            inputs: normalised images, (B, 3, H, W) or a sequence of (3, H, W) of any sizes.
            data_samples: their metadata, of which ``ori_shape`` is used; without it the input's size is the original.

        Returns:
            One data sample per image with ``pred_sem_seg`` (1, H, W), class ids at the original size.
        """
        if data_samples is None:
            data_samples = [SegDataSample(metainfo={"ori_shape": image.shape[-2:]}) for image in inputs]
        logits = self.inference(inputs, [sample.metainfo for sample in data_samples])
        return self.postprocess_result(logits, data_samples)

    @torch.inference_mode()
    def inference(
        self, inputs: Tensor | Sequence[Tensor], batch_img_metas: Sequence[dict[str, Any]]
    ) -> list[DenseLogits]:
        """Cosine logits of every image at its own ``ori_shape``, before refinement, scale and softmax."""
        for meta in batch_img_metas:
            _check_not_tiny(meta, self.backbone.patch_size)
        self.prepare()
        plans = [self.window_plan((image.shape[-2], image.shape[-1])) for image in inputs]
        windows = [window for plan, image in zip(plans, inputs, strict=True) for window in plan.cut(image)]
        encoded = iter(self.encode_windows(windows))
        by_image = [torch.stack([next(encoded) for _ in range(len(plan.tops) * len(plan.lefts))]) for plan in plans]
        _check_finite(by_image, batch_img_metas)
        dense = []
        for plan, patch_logits, image, meta in zip(plans, by_image, inputs, batch_img_metas, strict=True):
            target = (int(meta["ori_shape"][0]), int(meta["ori_shape"][1]))
            dense.append(self.stitch(plan, patch_logits, image, target))
        return dense

    def encode_decode(self, inputs: Tensor, batch_img_metas: Sequence[dict[str, Any]] | None = None) -> Tensor:
        """MMSeg's: logits (B, Q, H, W) at the size of the inputs (B, 3, H, W), taken as one window each."""
        self.prepare()
        return F.interpolate(self.patch_logits(inputs), size=inputs.shape[-2:], mode="bilinear", align_corners=False)

    def slide_inference(self, inputs: Tensor, batch_img_metas: Sequence[dict[str, Any]] | None = None) -> Tensor:
        """MMSeg's: logits (B, Q, H, W) at the size of the inputs, averaged over the windows of ``test_cfg``."""
        size = {"ori_shape": inputs.shape[-2:]}
        return torch.stack([logits.dense() for logits in self.inference(inputs, [size] * len(inputs))])

    whole_inference = slide_inference

    def postprocess_result(
        self, seg_logits: Sequence[DenseLogits], data_samples: Sequence[SegDataSample]
    ) -> list[SegDataSample]:
        """Refine, label and store: every sample gets ``pred_sem_seg`` (1, H, W) at its original size."""
        for logits, sample in zip(seg_logits, data_samples, strict=True):
            sample.set_data({"pred_sem_seg": PixelData(data=self.label(logits)[None])})
        return list(data_samples)

    def loss(self, *args: object, **kwargs: object) -> NoReturn:
        """Raise: there is nothing to train."""
        raise NotImplementedError(f"{type(self).__name__} is training-free: it has no loss.")

    def _forward(self, inputs: Tensor, data_samples: object = None) -> Tensor:
        return self.encode_decode(inputs)

    # -- pieces -----------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Compute (or read from the cache) the text features, once."""
        if not self.decode_head.ready:
            self.decode_head.set_text_features(self.backbone.pop_text_encoder(), self.backbone.weights_hash)

    def window_plan(self, size: Size) -> WindowPlan:
        """The windows of a resized image of this size."""
        if self.mode == "whole":
            return WindowPlan.whole(size)
        return WindowPlan.slide(size, self.crop, self.stride, self.pad_to)

    def encode_windows(self, windows: Sequence[Tensor]) -> list[Tensor]:
        """Patch logits (Q, h, w) of windows (3, H, W) of any images; equal sizes share forward passes."""
        by_size: dict[torch.Size, list[int]] = defaultdict(list)
        for index, window in enumerate(windows):
            by_size[window.shape].append(index)
        encoded: dict[int, Tensor] = {}
        for indices in by_size.values():
            for start in range(0, len(indices), self.window_batch):
                chunk = indices[start : start + self.window_batch]
                logits = self.window_maps(torch.stack([windows[index] for index in chunk]))
                encoded.update(zip(chunk, logits, strict=True))
        return [encoded[index] for index in range(len(windows))]

    def stitch(self, plan: WindowPlan, patch_logits: Tensor, image: Tensor, target: Size) -> DenseLogits:
        """Patch logits (n, Q, h, w) of an image's windows -> logits on the ``target`` pixels of the original image."""
        direct = self.mode == "whole" and self.whole_upsampling == "direct"
        return plan.stitch(patch_logits, image, target, direct=direct)

    def label(self, logits: DenseLogits) -> Tensor:
        """Class ids (H, W) of one image, after refinement and thresholds."""
        if not self.pamr_steps:
            return self.decode_head.label(logits)
        affinity = self._affinity(logits)
        return self.decode_head.label(logits, blocks=lambda: self._refined_blocks(logits, affinity))

    def dense_logits(self, logits: DenseLogits) -> Tensor:
        """Cosine logits (Q, H, W) of one image at its original size, after refinement."""
        if not self.pamr_steps:
            return logits.dense()
        blocks = self._refined_blocks(logits, self._affinity(logits))
        return torch.cat([block.transpose(0, 1) for _, _, block in blocks])

    def _affinity(self, logits: DenseLogits) -> Tensor:
        image = F.interpolate(logits.image[None].float(), size=logits.size, mode="bilinear", align_corners=False)
        return pamr_affinity(image[0], self.pamr_dilations)

    def _refined_blocks(self, logits: DenseLogits, affinity: Tensor) -> Iterable[Block]:
        """PAMR, a few queries at a time: memory does not grow with the vocabulary."""
        height, width = logits.size
        step = max(1, _PAMR_ELEMENTS // (height * width))
        for start in range(0, len(logits.patches), step):
            queries = slice(start, min(start + step, len(logits.patches)))
            refined = pamr(logits.dense(queries), affinity, self.pamr_dilations, self.pamr_steps)
            yield slice(0, height), queries, refined.transpose(0, 1)


def check_choice(name: str, value: object, valid: Collection[object]) -> None:
    """Raise ValueError unless ``model.<name>`` is one of the valid values."""
    if value not in valid:
        raise ValueError(f"model.{name} must be one of {list(valid)}, but got {value!r}.")


def _check_not_tiny(meta: dict[str, Any], patch_size: int) -> None:
    height, width = meta["ori_shape"][:2]
    if min(height, width) < patch_size:
        raise ValueError(
            f"The image {meta.get('img_path', '(no path)')} of {height}x{width} pixels (height x width) is smaller than"
            f" one {patch_size}x{patch_size} patch: nothing can be told apart in it."
        )


def _check_finite(by_image: Sequence[Tensor], metas: Sequence[dict[str, Any]]) -> None:
    finite = torch.stack([logits.isfinite().all() for logits in by_image]) if by_image else torch.ones(0)
    if not finite.all():
        meta = metas[int(finite.int().argmin())]
        raise ValueError(
            f"The logits of the image {meta.get('img_path', '(no path)')} are not numbers (NaN or infinite): the"
            " weights are damaged, or too large for model.precision=fp16 (try fp32)."
        )


def _check_options(
    window_batch: int, pad_to: int | str | None, whole_upsampling: str, pamr_steps: int, pamr_dilations: Sequence[int]
) -> None:
    if not isinstance(window_batch, int) or window_batch < 1:
        raise ValueError(f"model.window_batch must be at least 1, but got {window_batch!r}.")
    if pad_to not in (None, "patch") and not (isinstance(pad_to, int) and pad_to > 0):
        raise ValueError(f"model.pad_to must be a positive number of pixels, 'patch' or None, but got {pad_to!r}.")
    if whole_upsampling not in UPSAMPLINGS:
        raise ValueError(f"model.whole_upsampling must be one of {list(UPSAMPLINGS)}, but got {whole_upsampling!r}.")
    distances = list(pamr_dilations) if isinstance(pamr_dilations, Sequence) else []
    positive = bool(distances) and all(isinstance(distance, int) and distance > 0 for distance in distances)
    if not isinstance(pamr_steps, int) or pamr_steps < 0 or not positive:
        raise ValueError(
            "model.pamr_steps must be at least 0 and model.pamr_dilations positive numbers of pixels, but got"
            f" {pamr_steps!r} and {pamr_dilations!r}."
        )


def _read_test_cfg(test_cfg: dict[str, Any]) -> tuple[str, Size, Size]:
    """Mode, crop size and stride; the last two are (0, 0) in ``whole`` mode."""
    unknown = set(test_cfg) - _TEST_CFG
    if unknown:
        raise ValueError(f"model.test_cfg has unknown options {sorted(unknown)}; valid: {sorted(_TEST_CFG)}.")
    mode = test_cfg.get("mode")
    if mode == "whole":
        return mode, (0, 0), (0, 0)
    if mode != "slide":
        raise ValueError(f"model.test_cfg.mode must be 'whole' or 'slide', but got {mode!r}.")
    return mode, _read_size(test_cfg, "crop_size"), _read_size(test_cfg, "stride")


def _read_size(test_cfg: dict[str, Any], key: str) -> Size:
    value = test_cfg.get(key)
    pair = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(pair) != 2 or not all(isinstance(pixels, int) and pixels > 0 for pixels in pair):
        raise ValueError(
            f"model.test_cfg.{key} must be a positive number of pixels or (height, width), but got {value!r}."
        )
    return pair
