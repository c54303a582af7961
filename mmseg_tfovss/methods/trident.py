"""Trident: splice windows, then aggregate the whole image with SAM. Shi et al., ICCV 2025, arXiv:2411.09219.

Official code: YuHengsss/Trident @ a93b346.

Windows of the network's image, whose sides are made multiples of CLIP's patch p:
    E = DINO's last features (D, h', w'),   s_ij = cos(E_i, E_j),   mean over all pairs of all windows of the image
    A = softmax(gamma (s - beta mean s) where it is >= 0)
    last block, values of the patches brought to DINO's grid:   x = out_proj(A v)      (no residual, no feed-forward)
Splice:      x <- mean of the windows' x on the patches of the image
Aggregate:   x <- Ahat x, with x brought to SAM's grid; Ahat from attention and values of SAM's last block
             (ops/affinity.py).   ``halves``: SAM sees the left and the right half by themselves
Logits:      cosines of x, after ln_post and projection, and the texts; from SAM's grid to the original size at once
Labels:      those of the logits, then SAM's masks for their regions (ops/mask_refinement.py)

SAM sees the image of the file, its sides made multiples of p; the network's image where images come as tensors.

Deviations, with ``official_quirks``: the prompt encoder normalises a mask prompt over its rows in place of its
channels; boxes and points, found on the halved image, are placed as if SAM saw an image of that shape; pixels in
regions without a mask take the label of any other region's mask. False: over channels; as SAM sees it; pixels there
keep their label where it is more probable.
Always: synonyms are merged class by class; the official code merges the first Q - C + 1 queries into class 0, which is
the same where no other class has any, as in its own lists. Where nothing of a row of Ahat is left, the patch keeps its
x, and an image with a side below ``crop_size`` has windows of that side: there, the official code fails.
s and SAM's cosines meet hard thresholds: a pair within rounding of one may change sides.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_tfovss.acting import Needs, one_of
from mmseg_tfovss.checks import check_positive, check_range
from mmseg_tfovss.encoders.clip import CLIPBlock
from mmseg_tfovss.encoders.sam import EncodedImage
from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.methods.options import check_choice, take_options
from mmseg_tfovss.methods.stages import LOGITS, Maps, Refined, Scene, Seen, Windows
from mmseg_tfovss.ops.affinity import aggregate, similarity_thresholds
from mmseg_tfovss.ops.canvas import Canvas, Size
from mmseg_tfovss.ops.connected import RegionPrompts
from mmseg_tfovss.ops.constants import constant
from mmseg_tfovss.ops.mask_refinement import MaskRefinement, halved
from mmseg_tfovss.ops.probabilities import ClassProbabilities
from mmseg_tfovss.ops.proxy import proxy_attention
from mmseg_tfovss.ops.tokens import bring_to_grid, values_on_grid
from mmseg_tfovss.ops.windows import WindowPlan
from mmseg_tfovss.registry import MODELS

SEEN_BY_SAM = "seen by SAM"  # of an image
PROXY = "proxy attention"  # given to the last block: A, on DINO's grid


def next_multiple(pixels: int, patch: int) -> int:
    """The smallest multiple of a patch's pixels that is not below."""
    return -(-pixels // patch) * patch


def patched_size(size: Size, patch: int, least: Size) -> Size:
    """The size at which windows are cut: sides are multiples of the patch.

    Unless they are already, the long side becomes the next multiple, the short side follows, rounded down to pixels and
    up to a multiple, and both are ``least`` at least.
    """
    if not any(pixels % patch for pixels in size):
        return size
    long = next_multiple(max(size), patch)
    height, width = (next_multiple(int(pixels * long / max(size)), patch) for pixels in size)
    return max(height, least[0]), max(width, least[1])


def spliced_grid(grid: Size, patches: Size) -> Size:
    """The grid of a window's maps, if CLIP's rows and columns of patches divide it; else the nearest such one."""
    if grid[0] % patches[0] == 0 and grid[1] % patches[1] == 0:
        return grid
    times = max(1, round(grid[0] / patches[0]))
    return patches[0] * times, patches[1] * times


def normalise_rows(norm: nn.LayerNorm, maps: Tensor) -> Tensor:
    """A LayerNorm of channels whose statistics are those of the rows of maps (B, C, H, W): over H."""
    variance, mean = torch.var_mean(maps, dim=2, correction=0, keepdim=True)
    unit = (maps - mean) / (variance + norm.eps).sqrt()
    return norm.weight[:, None, None] * unit + norm.bias[:, None, None]


@dataclass(frozen=True)
class SeenBySAM:
    """What SAM sees of an image.

    Attributes:
        size: of the image that is shown to it.
        parts: the image, or its left and its right half: whose last blocks aggregate.
        whole: the image, in which masks are drawn.
    """

    size: Size
    parts: Sequence[EncodedImage]
    whole: EncodedImage


@MODELS.register_module()
class Trident(OpenVocabSegmentor):
    """Splice windows of proxy attention, aggregate by SAM's affinity, refine by SAM's masks.

    Options are also those of :class:`MaskRefinement`, which act with ``sam_refine``. ``whole`` mode: a single window.

    Args:
        vfm: config of the network that gives E, ``dict(type='DINO', pretrained='facebook/dino-vitb16')``.
        sam: config of SAM, ``dict(type='SAM', pretrained='facebook/sam-vit-base')``; its ``multimask`` is off unless
            the config says otherwise.
        beta: how many times the mean similarity a pair of patches must reach, >= 0.
        gamma: inverse temperature of the attention, > 0.
        cos_fac: how many times the mean similarity SAM's values must reach, >= 0.
        refine_neg_cos: a negative mean is a threshold like any other; False: the threshold is 0.6 then.
        halves: SAM's affinity comes from both halves of the image by themselves, as for Cityscapes.
        sam_refine: refine the labels by SAM's masks.
        official_quirks: deviate from the paper as the official code does.
        **kwargs: see :class:`OpenVocabSegmentor`, but for ``residual``, ``feed_forward``, ``pad_to`` and
            ``whole_upsampling``.

    Raises:
        ValueError: a setting out of range, windows that are no multiples of CLIP's patch, or a network that gives
            something else.
        FileNotFoundError: weights are not on this machine.
    """

    reads_original = True
    option_records: ClassVar[dict[str, type]] = {"refinement": MaskRefinement}
    acts_with: ClassVar[Mapping[str, Needs]] = dict.fromkeys(
        (field.name for field in fields(MaskRefinement)), one_of("sam_refine", True)
    )
    fitted = frozenset({"cos_fac", "refine_neg_cos", "halves", "coarse_thresh"})

    def __init__(
        self,
        *,
        vfm: Mapping[str, Any],
        sam: Mapping[str, Any],
        beta: float = 1.2,
        gamma: float = 3.0,
        cos_fac: float = 1.2,
        refine_neg_cos: bool = True,
        halves: bool = False,
        sam_refine: bool = True,
        official_quirks: bool = True,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        check_range("model.beta", beta, 0, math.inf)
        check_positive(**{"model.gamma": gamma})
        check_range("model.cos_fac", cos_fac, 0, math.inf)
        switches = {"refine_neg_cos": refine_neg_cos, "halves": halves, "sam_refine": sam_refine}
        for name, value in {**switches, "official_quirks": official_quirks}.items():
            check_choice(name, value, (True, False))
        for name, only in (("pad_to", None), ("whole_upsampling", "direct")):
            if kwargs.get(name, only) != only:
                raise ValueError(
                    f"model.{name}={kwargs[name]!r} has no effect: Trident pads no window, and takes logits from SAM's"
                    " grid to the original size at once. Leave it out."
                )
        refinement = take_options(MaskRefinement, kwargs)
        super().__init__(**kwargs)
        self._check_windows()
        self.beta, self.gamma, self.cos_fac, self.refine_neg_cos = beta, gamma, cos_fac, refine_neg_cos
        self.halves, self.sam_refine, self.official_quirks = halves, sam_refine, official_quirks
        self.refinement: MaskRefinement = refinement
        self.companion("vfm", vfm, gives="own_patches")
        self.companion("sam", sam, gives="masks")
        if "multimask" not in sam:
            self.sam.multimask = False

    def _check_windows(self) -> None:
        patch = self.backbone.patch_size
        for name, size in (("crop_size", self.crop), ("stride", self.stride)):
            if any(pixels % patch for pixels in size):
                raise ValueError(
                    f"model.test_cfg.{name} must be a multiple of {patch}, the pixels of a patch, because windows are"
                    f" spliced patch by patch, but got {size}."
                )

    # -- what SAM sees ----------------------------------------------------------------------------------------------

    def look(self, scenes: Sequence[Scene]) -> dict[str, Seen]:
        """SAM's last block and embedding of each image, once."""
        return {SEEN_BY_SAM: [self.show_to_sam(scene) for scene in scenes]}

    def show_to_sam(self, scene: Scene) -> SeenBySAM:
        """The image of the file in SAM's image encoder, and its halves."""
        image = self.decoded(scene)
        height, width = (next_multiple(pixels, self.backbone.patch_size) for pixels in image.shape[:2])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        if not self.halves or min(width, scene.resized[1]) < 2 * self.backbone.patch_size:  # half of it is no patch
            whole = self.encode_for_sam(image)
            return SeenBySAM((height, width), [whole], whole)
        parts = [self.encode_for_sam(half) for half in np.split(image, [width // 2], axis=1)]
        return SeenBySAM((height, width), parts, self.encode_for_sam(image) if self.sam_refine else parts[0])

    def encode_for_sam(self, image: np.ndarray) -> EncodedImage:
        """An image (H, W, 3), resized as SAM's authors do it, in SAM's image encoder."""
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
        encoded: EncodedImage = self.sam.encode(self.sam.resize(pixels).to(self.sam.mean.device))
        return encoded

    # -- windows, splice, aggregation -------------------------------------------------------------------------------

    def window_plan(self, size: Size) -> WindowPlan:
        """One window, the image: what is spliced is inside of it."""
        return WindowPlan.whole(size)

    def encode(self, windows: Windows) -> Maps:
        """Cosines (n, Q, v_h, v_w) of whole images, on SAM's grid."""
        seen = [scene.seen[SEEN_BY_SAM] for scene in windows.scenes]
        features = [self.image_features(*pair) for pair in zip(windows.images, seen, strict=True)]
        return {LOGITS: self.decode_head(torch.cat(features))}

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Features (B, D, v_h, v_w) of images (B, 3, H', W') that come without a file."""
        scenes = [Scene(image, (image.shape[1], image.shape[2])) for image in inputs]
        return torch.cat([self.image_features(scene.image, self.show_to_sam(scene)) for scene in scenes])

    def image_features(self, image: Tensor, seen: SeenBySAM) -> Tensor:
        """Spliced and aggregated features in text space, (1, D, v_h, v_w), of an image (3, H', W')."""
        spliced = self.splice(image)  # x (C, a, b)
        cut = [spliced] if len(seen.parts) == 1 else spliced.tensor_split([spliced.shape[2] // 2], dim=2)
        parts = [self.aggregate(maps, part) for maps, part in zip(cut, seen.parts, strict=True)]
        tokens = torch.cat(parts, dim=2)  # x (C, v_h, v_w)
        features = self.backbone.project(tokens.flatten(1).T[None])  # (1, v_h v_w, D)
        return features.transpose(1, 2).unflatten(2, tokens.shape[1:])

    def splice(self, image: Tensor) -> Tensor:
        """The image (3, H', W') in windows, whose x are averaged on its patches: (C, a, b)."""
        size = patched_size((image.shape[1], image.shape[2]), self.backbone.patch_size, self.crop)
        image = F.interpolate(image[None], size=size, mode="bilinear", align_corners=False)[0]
        whole = self.mode == "whole"
        plan = WindowPlan.whole(size) if whole else WindowPlan.slide(size, self.crop, self.stride)
        batches = torch.stack(plan.cut(image)).split(self.window_batch)
        features = torch.cat([self.vfm_features(batch) for batch in batches])  # E (n, D, h', w')
        grid: Size = (features.shape[2], features.shape[3])
        attention = proxy_attention(features, self.beta, self.gamma, shared_mean=True).unflatten(2, grid)  # A
        streams = [
            self.run_blocks(batch, {PROXY: own})
            for batch, own in zip(batches, attention.split(self.window_batch), strict=True)
        ]
        tokens = torch.cat([stream.tokens for stream in streams]).float()  # x (n, h' w', C)
        target = spliced_grid(grid, streams[0].grid)
        if target != grid:
            tokens = bring_to_grid(tokens, grid, target)
        return plan.splice(tokens.transpose(1, 2).unflatten(2, target), size).patches

    def vfm_features(self, images: Tensor) -> Tensor:
        """E (n, D, h', w') of windows (n, 3, h, w), on the network's own grid."""
        features: Tensor = self.vfm.features(*self.vfm.own_patches(self.grey_levels(images, unrounded=True)))
        return features

    def last_block(self, block: CLIPBlock, tokens: Tensor, stream: Stream) -> Tensor:
        """The block's output x = out_proj(A v): (n, 1 + h w, C) -> (n, h' w', C), without a class token."""
        attention = stream.given[PROXY]  # (n, h' w', h', w')
        grid = (attention.shape[2], attention.shape[3])
        values = values_on_grid(block.values(tokens), stream.grid, grid)  # v (n, h' w', C)
        return block.out_proj(attention.flatten(2).to(values.dtype) @ values)

    def aggregate(self, tokens: Tensor, image: EncodedImage) -> Tensor:
        """Ahat x: (C, a, b) -> (C, v_h, v_w) on SAM's grid."""
        block = image.last_block
        maps = F.interpolate(tokens[None], size=block.grid, mode="bilinear", align_corners=False)[0]
        values = block.values.float()  # (heads, v_h v_w, d)
        thresholds = similarity_thresholds(values, self.cos_fac, lift_negative=not self.refine_neg_cos)
        return aggregate(maps.flatten(1).T, block.attention, values, thresholds).T.unflatten(1, block.grid)

    def assemble(self, scene: Scene, maps: Maps) -> dict[str, Canvas]:
        """From SAM's grid to the pixels of the original image at once."""
        plan = self.window_plan(scene.resized)
        return {name: plan.stitch(values, scene.size, direct=True) for name, values in maps.items()}

    # -- masks ------------------------------------------------------------------------------------------------------

    def label(self, scene: Scene, refined: Refined) -> Tensor:
        """Class ids (H, W), of the logits or, in SAM's masks, of the regions that these are for."""
        labels = super().label(scene, refined)
        if not self.sam_refine:
            return labels
        head, seen = self.decode_head, scene.seen[SEEN_BY_SAM]
        return self.refinement.refine(
            labels,
            ClassProbabilities(refined.logits, head.query_class, head.logit_scale),
            lambda regions, prompt: self.draw_masks(scene, regions, prompt),
            side=4 * seen.whole.embedding.shape[-1],
            failed_keep=not self.official_quirks,
        )

    def draw_masks(self, scene: Scene, regions: RegionPrompts, prompt: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """SAM's masks for regions of one class: logits (n, H, W) and predicted IoU (n,), ``prompt_batch`` at a time."""
        seen: SeenBySAM = scene.seen[SEEN_BY_SAM]
        half, frame = halved(scene.size), seen.whole.resized
        placed = self.sam.resized_size(half) if self.official_quirks else frame
        scale = constant((placed[1] / half[1], placed[0] / half[0]), prompt.dtype, prompt.device)
        dense, batch = self.embed_mask(prompt), self.sam.prompt_batch
        for boxes, points in zip(regions.boxes.split(batch), regions.points.split(batch), strict=True):
            positive = torch.ones((len(points), 1), dtype=torch.int64, device=points.device)
            low, iou = self.sam.decode(
                seen.whole.embedding, points[:, None] * scale, positive, boxes * scale.repeat(2), dense
            )
            masks = self.sam.on_pixels(low.float(), frame, seen.size)
            if seen.size != scene.size:
                masks = F.interpolate(masks[None], size=scene.size, mode="bilinear", align_corners=False)[0]
            yield masks, iou

    def embed_mask(self, prompt: Tensor) -> Tensor:
        """A mask prompt (S, S) as the mask decoder takes it, (1, C, S / 4, S / 4)."""
        encoder = self.sam.model.prompt_encoder.mask_embed
        maps = prompt[None, None].to(encoder.conv1.weight.dtype)
        if not self.official_quirks:
            dense: Tensor = self.sam.embed_masks(maps)
            return dense
        maps = encoder.activation(normalise_rows(encoder.layer_norm1, encoder.conv1(maps)))
        maps = encoder.activation(normalise_rows(encoder.layer_norm2, encoder.conv2(maps)))
        quirky: Tensor = encoder.conv3(maps)
        return quirky
