"""The frozen Segment Anything Model: an image and points -> masks. Kirillov et al., ICCV 2023, arXiv:2304.02643.

    image -> long side to image_size, normalise, pad -> image encoder, once
    points -> prompt encoder -> mask decoder, some prompts at a time -> masks on the image's pixels

Networks come through transformers, in its folder layout (config.json and model.safetensors).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2.functional import resize  # type: ignore[import-untyped]

from mmseg_tfovss.checks import check_option, is_number
from mmseg_tfovss.encoders.companion import Companion
from mmseg_tfovss.encoders.pretrained import Network, check_config, config_place, load_frozen
from mmseg_tfovss.encoders.weight_files import hash_tensors
from mmseg_tfovss.ops.canvas import Size
from mmseg_tfovss.registry import MODELS

if TYPE_CHECKING:  # half a second, which only those who build a SAM should wait for
    from transformers import SamModel

# ImageNet's, which SAM was trained with; RGB, in grey levels.
SAM_MEAN = tuple(255 * mean for mean in (0.485, 0.456, 0.406))
SAM_STD = tuple(255 * std for std in (0.229, 0.224, 0.225))
_SAM = Network("SAM", "model.sam", "facebook/sam-vit-base", "sam", "SamModel")


@MODELS.register_module()
class SAM(Companion):
    """Frozen SAM, prompted with positive and background points.

    Args:
        pretrained: a hub id (``facebook/sam-vit-base``, ``-large``, ``-huge``), or a folder with the config.json and
            model.safetensors of one.
        prompt_batch: prompts decoded at a time; bounds memory, changes nothing else.
        multimask: SAM proposes three masks for a prompt and the one whose predicted IoU is highest is taken; otherwise
            its single mask, which its authors advise for prompts of many points.

    Raises:
        FileNotFoundError: no such folder or file in it, or a hub id that is neither cached nor downloadable.
        ValueError: the folder holds something else than a SAM, or an option is out of range.
    """

    def __init__(self, pretrained: str = _SAM.default, prompt_batch: int = 16, multimask: bool = True) -> None:
        super().__init__()
        if not is_number(prompt_batch, whole=True) or prompt_batch < 1:
            raise ValueError(f"{config_place(_SAM.place)}.prompt_batch must be at least 1, but got {prompt_batch!r}.")
        check_option(f"{config_place(_SAM.place)}.multimask", multimask, (True, False))
        self.model: SamModel = load_frozen(pretrained, _SAM)
        _check_parts(pretrained, self.model.config)
        self.name, self.weights_hash = pretrained, hash_tensors(self.model.state_dict())
        self.prompt_batch, self.multimask = prompt_batch, multimask
        self.image_size: int = self.model.config.vision_config.image_size
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
        for image in images:
            embedding = self.embed(image)  # (1, 256, S / 16, S / 16)
            resized = self.resized_size((image.shape[-2], image.shape[-1]))
            rows, columns = (-(-pixels * embedding.shape[-1] // self.image_size) for pixels in resized)
            cut = embedding[..., :rows, :columns]
            found.append(F.interpolate(cut, size=grid, mode="bilinear", align_corners=False)[0])
        return torch.stack(found)

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
        scale = points.new_tensor([resized[1] / image.shape[-1], resized[0] / image.shape[-2]])
        placed = (points * scale).expand(len(labels), -1, -1).to(embedding.dtype)
        for some_points, some_labels in zip(
            placed.split(self.prompt_batch), labels.split(self.prompt_batch), strict=True
        ):
            low = self._decode(embedding, some_points, some_labels)
            yield self._on_pixels(low, resized, size or (image.shape[-2], image.shape[-1]))

    def embed(self, image: Tensor) -> Tensor:
        """Image embedding (1, C, S / 16, S / 16) of an image (3, h, w), RGB, in grey levels 0 .. 255."""
        pixels = image if image.dtype == torch.uint8 else image.round().clamp(0, 255).to(torch.uint8)
        height, width = self.resized_size((image.shape[-2], image.shape[-1]))
        resized = resize(pixels, [height, width], antialias=True).to(self.mean.dtype)
        padding = (0, self.image_size - width, 0, self.image_size - height)
        padded = F.pad((resized - self.mean) / self.std, padding)
        return self.model.get_image_embeddings(padded[None])

    def resized_size(self, size: Size) -> Size:
        """Height and width at which SAM sees an image of this size, before padding."""
        scale = self.image_size / max(size)
        return max(int(size[0] * scale + 0.5), 1), max(int(size[1] * scale + 0.5), 1)

    def _decode(self, embedding: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        """One mask (n, S / 4, S / 4) for each prompt: points (n, P, 2), labels (n, P)."""
        found = self.model(
            image_embeddings=embedding,
            input_points=points[None],
            input_labels=labels[None],
            multimask_output=self.multimask,
        )
        masks, scores = found.pred_masks[0], found.iou_scores[0]  # (n, 3 or 1, S / 4, S / 4), (n, 3 or 1)
        return masks[torch.arange(len(masks), device=masks.device), scores.argmax(dim=1)]

    def _on_pixels(self, masks: Tensor, resized: Size, size: Size) -> Tensor:
        """Masks (n, S / 4, S / 4) -> (n, H, W): to the padded image, without the padding, to the image."""
        side = (self.image_size, self.image_size)
        padded = F.interpolate(masks[None], size=side, mode="bilinear", align_corners=False)
        cut = padded[..., : resized[0], : resized[1]]
        return F.interpolate(cut, size=size, mode="bilinear", align_corners=False)[0]


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
