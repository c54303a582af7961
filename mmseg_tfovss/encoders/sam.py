"""The frozen Segment Anything Model: an image and points -> masks. Kirillov et al., ICCV 2023, arXiv:2304.02643.

    image -> long side to image_size, normalise, pad -> image encoder, once
    points -> prompt encoder -> mask decoder, some prompts at a time -> masks on the image's pixels

Networks come through transformers, from its folder layout (config.json and model.safetensors) or from the one file of
facebookresearch/segment-anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from mmseg_tfovss.checks import check_option, is_number
from mmseg_tfovss.encoders.companion import Companion
from mmseg_tfovss.encoders.pretrained import POCKET, Network, check_config, config_place, load_frozen, shown_name
from mmseg_tfovss.encoders.relative_attention import RelativeAttention, attend
from mmseg_tfovss.encoders.segment_anything import SAM_LAYOUT
from mmseg_tfovss.encoders.weight_files import hash_tensors
from mmseg_tfovss.ops.canvas import Size
from mmseg_tfovss.ops.constants import constant
from mmseg_tfovss.registry import MODELS

if TYPE_CHECKING:  # half a second, which only those who build a SAM should wait for
    from transformers import SamModel

# ImageNet's, which SAM was trained with; RGB, in grey levels.
SAM_MEAN = tuple(255 * mean for mean in (0.485, 0.456, 0.406))
SAM_STD = tuple(255 * std for std in (0.229, 0.224, 0.225))
_SAM = Network(
    "SAM",
    "model.sam",
    "facebook/sam-vit-base",
    "sam",
    "SamModel",
    layout=SAM_LAYOUT,
    pocket=POCKET / "pocket_sam.safetensors",
)


@dataclass(frozen=True)
class LastBlock:
    """The attention of the image encoder's last block, between the patches that an image fills.

    Attributes:
        grid: v_h and v_w, whole patches of the image.
        inside: (v_h v_w,), their numbers among all patches that SAM sees; others hold its padding.
        whole: the attention of all of them.
    """

    grid: Size
    inside: Tensor
    whole: RelativeAttention

    @property
    def values(self) -> Tensor:
        """(heads, v_h v_w, d)."""
        return self.whole.value[0, :, self.inside]

    def attention(self, queries: slice) -> Tensor:
        """Probabilities (heads, n, v_h v_w) of some queries; padding takes part in the softmax, so rows sum to <= 1.

        Args:
            queries: which of the v_h v_w patches; a few hundred at a time keep this small.
        """
        return self.whole.weights(self.inside[queries])[0, :, :, self.inside]


@dataclass(frozen=True)
class EncodedImage:
    """What the image encoder says of an image.

    Attributes:
        embedding: (1, C, S / 16, S / 16), for the mask decoder.
        size: H and W of the image.
        resized: h and w at which SAM sees it, its long side S.
        last_block: attention between its patches.
    """

    embedding: Tensor
    size: Size
    resized: Size
    last_block: LastBlock


@MODELS.register_module()
class SAM(Companion):
    """Frozen SAM, prompted with positive and background points, boxes and masks.

    Args:
        pretrained: a hub id (``facebook/sam-vit-base``, ``-large``, ``-huge``), a folder with the config.json and
            model.safetensors of one, its authors' file (sam_vit_b_01ec64.pth), whose config follows from its shapes, or
            ``pocket``: a bundled one of random numbers, so that pocket configs run; its masks mean nothing.
        prompt_batch: prompts decoded at a time; bounds memory, changes nothing else.
        multimask: SAM proposes three masks for a prompt and the one whose predicted IoU is highest is taken; otherwise
            its single mask, which its authors advise for prompts of many points.

    Raises:
        FileNotFoundError: no such folder or file in it, or a hub id that is neither cached nor downloadable.
        ValueError: the folder or file holds something else than a SAM, or an option is out of range.
    """

    network: ClassVar[Network] = _SAM

    def __init__(self, pretrained: str = _SAM.default, prompt_batch: int = 16, multimask: bool = True) -> None:
        super().__init__()
        if not is_number(prompt_batch, whole=True) or prompt_batch < 1:
            raise ValueError(f"{config_place(_SAM.place)}.prompt_batch must be at least 1, but got {prompt_batch!r}.")
        check_option(f"{config_place(_SAM.place)}.multimask", multimask, (True, False))
        self.model: SamModel = load_frozen(pretrained, _SAM)
        _check_parts(pretrained, self.model.config)
        self.name, self.weights_hash = shown_name(pretrained, type(self)), hash_tensors(self.model.state_dict())
        self.prompt_batch, self.multimask = prompt_batch, multimask
        self.image_size: int = self.model.config.vision_config.image_size
        self.patch_size: int = self.model.config.vision_config.patch_size
        for layer in self.model.vision_encoder.layers:
            layer.attn.forward = MethodType(attend, layer.attn)
        self.register_buffer("mean", torch.tensor(SAM_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(SAM_STD).view(3, 1, 1), persistent=False)
        self.requires_grad_(requires_grad=False).eval()

    def features(self, images: Tensor, grid: Size) -> Tensor:
        """The image embedding (B, 256, h, w), without SAM's padding, resized (bilinear) to the grid.

        Args:
            images: (B, 3, H, W), RGB, in grey levels 0 .. 255.
            grid: h and w.
        """
        found = []
        _, (rows, columns) = self.own_patches(images)
        for image in images:
            embedding = self.embed(image)  # (1, 256, S / 16, S / 16)
            cut = embedding[..., :rows, :columns]
            found.append(F.interpolate(cut, size=grid, mode="bilinear", align_corners=False)[0])
        return torch.stack(found)

    def own_patches(self, images: Tensor) -> tuple[Tensor, Size]:
        """Images (B, 3, H, W), and rows and columns of the patches that hold a part of them, as SAM enlarges them."""
        resized = self.resized_size((images.shape[-2], images.shape[-1]))
        return images, (-(-resized[0] // self.patch_size), -(-resized[1] // self.patch_size))

    def masks(self, image: Tensor, points: Tensor, labels: Tensor, size: Size | None = None) -> Iterator[Tensor]:
        """Mask logits of K prompts in one image, ``prompt_batch`` of them at a time.

        Args:
            image: (3, h, w), RGB, in grey levels 0 .. 255; float values are rounded, because SAM resizes uint8 images.
            points: (x, y) in pixels of ``image``, as SAM counts them: 0 is the centre of the first pixel. (P, 2), the
                same for all prompts, or (K, P, 2).
            labels: (K, P): 1 a positive point, 0 a background point, -10 no point.
            size: H and W of the masks; ``None``: those of the image.

        Yields:
            (n, H, W) mask logits, positive inside.
        """
        resized = self.resized_size((image.shape[-2], image.shape[-1]))
        embedding = self.embed(image)
        shares = (resized[1] / image.shape[-1], resized[0] / image.shape[-2])
        scale = constant(shares, points.dtype, points.device)
        placed = (points * scale).expand(len(labels), -1, -1)
        for some in _chunks(len(labels), self.prompt_batch):
            low, _ = self._decode(embedding, placed[some], labels[some])
            yield self.on_pixels(low, resized, size or (image.shape[-2], image.shape[-1]))

    def encode(self, image: Tensor) -> EncodedImage:
        """Image embedding and the last block's attention, in one pass.

        Args:
            image: (3, H, W), RGB, in grey levels 0 .. 255. One whose long side is ``image_size`` is not resampled.

        Raises:
            ValueError: the last block attends within windows, or the network has no block.
        """
        *_, last = self.model.vision_encoder.layers
        if last.window_size > 0:
            raise ValueError(
                f"{_SAM.option}: the last block of {self.name} attends within windows of {last.window_size} patches, so"
                f" it relates no others: take a SAM whose last block sees the whole image, such as {_SAM.default}."
            )
        tokens: list[Tensor] = []
        hook = last.layer_norm1.register_forward_hook(lambda module, args, output: tokens.append(output))
        try:
            embedding = self.embed(image)
        finally:
            hook.remove()
        size = (image.shape[-2], image.shape[-1])
        resized, (seen,) = self.resized_size(size), tokens
        grid = (max(resized[0] // self.patch_size, 1), max(resized[1] // self.patch_size, 1))
        numbers = torch.arange(seen.shape[1] * seen.shape[2], device=seen.device).view(seen.shape[1:3])
        block = LastBlock(grid, numbers[: grid[0], : grid[1]].flatten(), RelativeAttention.of(last.attn, seen))
        return EncodedImage(embedding, size, resized, block)

    def last_block(self, image: Tensor) -> LastBlock:
        """The last block's attention between the patches that an image fills; see :meth:`encode`."""
        return self.encode(image).last_block

    def decode(
        self,
        embedding: Tensor,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        dense: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One mask for each of K prompts, each of points, a box and a mask, or of some of these.

        Args:
            embedding: of :meth:`embed` or :meth:`encode`.
            points: (K, P, 2), x and y in pixels of the image as SAM sees it (``resized``); 0 is the centre of the first
                pixel.
            labels: (K, P): 1 a positive point, 0 a background point, -10 no point.
            boxes: (K, 4), x and y of the first corner, then of the last one, likewise.
            dense: (1, C, S / 16, S / 16) for all prompts, or (K, C, S / 16, S / 16): what :meth:`embed_masks` makes
                of a mask, or an embedding of the caller's own; ``None``: no mask.

        Returns:
            Mask logits (K, S / 4, S / 4), positive inside, and the IoU (K,) that SAM predicts for each.

        Raises:
            ValueError: neither points nor boxes, points without labels, or tensors of other shapes.
        """
        given = points if points is not None else boxes
        if given is None or (points is None) != (labels is None):
            raise ValueError("A prompt of SAM needs points with labels, or a box.")
        count = len(given)
        if boxes is not None and tuple(boxes.shape) != (count, 4):
            raise ValueError(f"boxes must be of shape {(count, 4)}, but got {tuple(boxes.shape)}.")
        if dense is not None and (dense.shape[1:] != embedding.shape[1:] or len(dense) not in (1, count)):
            wanted = ("1 or the number of prompts", *embedding.shape[1:])
            raise ValueError(f"dense must be of shape {wanted}, but got {tuple(dense.shape)}.")
        found = []
        for some in _chunks(count, self.prompt_batch):
            own = [None if prompts is None else prompts[some] for prompts in (points, labels, boxes)]
            own.append(dense if dense is None or len(dense) == 1 else dense[some])
            found.append(self._decode(embedding, *own))
        if not found:
            return embedding.new_zeros(0, *(4 * side for side in embedding.shape[2:])), embedding.new_zeros(0)
        masks, scores = zip(*found, strict=True)
        return torch.cat(masks), torch.cat(scores)

    def embed_masks(self, masks: Tensor) -> Tensor:
        """Dense embeddings (n, C, S / 16, S / 16) of mask logits (n, 1, S / 4, S / 4) on the image as SAM sees it."""
        found: Tensor = self.model.prompt_encoder.mask_embed(masks)
        return found

    def embed(self, image: Tensor) -> Tensor:
        """Image embedding (1, C, S / 16, S / 16) of an image (3, h, w), RGB, in grey levels 0 .. 255."""
        from torchvision.transforms.v2.functional import resize  # type: ignore[import-untyped] # slow, and for SAM only

        pixels = image if image.dtype == torch.uint8 else image.round().clamp(0, 255).to(torch.uint8)
        height, width = self.resized_size((image.shape[-2], image.shape[-1]))
        resized = resize(pixels, [height, width], antialias=True).to(self.mean.dtype)
        padding = (0, self.image_size - width, 0, self.image_size - height)
        padded = F.pad((resized - self.mean) / self.std, padding)
        return self.model.get_image_embeddings(padded[None])

    def resize(self, image: Tensor) -> Tensor:
        """An image (3, H, W) uint8 at the size at which SAM sees it, resized by Pillow as SAM's authors do.

        :meth:`embed` and :meth:`encode` take it as it is. On their own they resize as transformers does, through torch,
        which differs by one grey level in one of some thousand values.
        """
        height, width = self.resized_size((image.shape[-2], image.shape[-1]))
        picture = Image.fromarray(image.permute(1, 2, 0).cpu().numpy())
        resized = picture.resize((width, height), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(resized)).permute(2, 0, 1).to(image.device)

    def resized_size(self, size: Size) -> Size:
        """Height and width at which SAM sees an image of this size, before padding."""
        scale = self.image_size / max(size)
        return max(int(size[0] * scale + 0.5), 1), max(int(size[1] * scale + 0.5), 1)

    def _decode(
        self,
        embedding: Tensor,
        points: Tensor | None,
        labels: Tensor | None,
        boxes: Tensor | None = None,
        dense: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The prompts of one batch: see :meth:`decode`."""
        sparse, without_mask = self.model.prompt_encoder(
            input_points=None if points is None else points[None].to(embedding.dtype),
            input_labels=None if labels is None else labels[None],
            input_boxes=None if boxes is None else boxes[None].to(embedding.dtype),
            input_masks=None,
        )  # (1, n, tokens, C), (1, C, S / 16, S / 16)
        dense = without_mask if dense is None else dense
        if len(dense) > 1:  # each prompt its own image, for transformers
            embedding, sparse = embedding.expand(len(dense), -1, -1, -1), sparse.transpose(0, 1)
        places = self.model.get_image_wide_positional_embeddings().expand(len(embedding), -1, -1, -1)
        masks, scores = self.model.mask_decoder(
            image_embeddings=embedding,
            image_positional_embeddings=places,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=self.multimask,
        )
        masks, scores = masks.flatten(0, 1), scores.flatten(0, 1)  # (n, 3 or 1, S / 4, S / 4), (n, 3 or 1)
        best, chosen = scores.max(dim=1)
        return masks[torch.arange(len(masks), device=masks.device), chosen], best

    def on_pixels(self, masks: Tensor, resized: Size, size: Size) -> Tensor:
        """Masks (n, S / 4, S / 4) -> (n, H, W): to the padded image, without the padding, to the image.

        Args:
            masks: logits.
            resized: h and w at which SAM saw the image.
            size: H and W.
        """
        side = (self.image_size, self.image_size)
        padded = F.interpolate(masks[None], size=side, mode="bilinear", align_corners=False)
        cut = padded[..., : resized[0], : resized[1]]
        return F.interpolate(cut, size=size, mode="bilinear", align_corners=False)[0]


def _chunks(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def _check_parts(pretrained: str, config: Any) -> None:  # noqa: ANN401 - transformers' SamConfig
    """The prompt encoder must count pixels and patches as the image encoder does, or points land elsewhere."""
    vision, prompt = config.vision_config, config.prompt_encoder_config
    check_config(
        pretrained,
        _SAM,
        num_channels=(vision.num_channels, 3),
        **{
            "prompt_encoder_config.image_size": (prompt.image_size, vision.image_size),
            "prompt_encoder_config.patch_size": (prompt.patch_size, vision.patch_size),
            "prompt_encoder_config.hidden_size": (prompt.hidden_size, vision.output_channels),
        },
    )
