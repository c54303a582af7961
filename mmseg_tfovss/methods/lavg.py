"""LaVG: find objects first, name them lazily afterwards. Kang & Cho, ECCV 2024, arXiv:2408.04961.

Official code: dahyun-kang/lavg @ 2db88e5.

Panoptic Cut, once per image: the file's pixels, resized to 640 x 640 (LANCZOS); k are the keys of DINO's last block:
    A_ij = 1 if cos(k_i, k_j) > tau, else 1e-5;     (D - A) v = lambda D v, second smallest lambda;     8 times:
    mask <- the connected part of [v > mean v] around argmax v, of the patches in no earlier mask    (panoptic_cut.py)
    masks on pixels by a dense CRF; dropped where IoU(before, after) < 1/2; last mask: all pixels in no other one
Lazy grounding, in every window, with SCLIP's logits l(x) upsampled to pixels, for each mask M:
    l_M = mean of l(x) over x in M;     l(x) <- l_M of the first mask that x lies in                 (grounding.py)
    remove_falsefg:  l(x, q) <- min of all l   for x in the last mask and q of a class other than 0
Windows are averaged; scale, softmax and thresholds as in SCLIP.

[open] The sign of v, which is random in the official code and decides between two masks where the side of the largest
|v| holds 3 corners: that side is the mask unless it holds 3 corners. A graph in which all patches are linked has no
second eigenvector of its own: nothing is cut from it.
Deviations: v is exact (Lanczos, fixed start), where the official one is LOBPCG's from a random start. Masks that the
CRF does not bear out are dropped, not kept empty, which is the same. An image without masks is one mask, the rest.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from mmseg_tfovss.acting import Needs
from mmseg_tfovss.encoders.mask_files import ENDINGS, cached_masks, recorded_masks
from mmseg_tfovss.encoders.recorded import check_recorded
from mmseg_tfovss.methods.options import check_choice, check_network, take_options
from mmseg_tfovss.methods.sclip import SCLIP
from mmseg_tfovss.methods.stages import LOGITS, Maps, Scene, Seen
from mmseg_tfovss.ops.canvas import Canvas, Size
from mmseg_tfovss.ops.grounding import ground
from mmseg_tfovss.ops.panoptic_cut import CutSettings, cut_patches, resize_masks, sharpen, with_rest
from mmseg_tfovss.ops.windows import WindowPlan
from mmseg_tfovss.registry import MODELS

MASKS = "masks"
_DINO = {"type": "DINO", "pretrained": "facebook/dino-vitb8"}


@MODELS.register_module()
class LaVG(SCLIP):
    """Give every mask of an image the mean logits of its pixels.

    Args:
        vfm: config of the network whose keys are cut; ``None``: DINO ViT-B/8, ``dict(type='DINO',
            pretrained='facebook/dino-vitb8')``.
        masks: recorded masks in place of cut ones: a file for one image, or a folder with a file for each image, called
            like it: .npz, .npy or .pth with (M, H, W) of 0 and 1, also packed by ``numpy.packbits``. The last mask is
            of the pixels in no other one. No network is loaded then.
        cache_dir: folder in which masks are kept; ``None``: ``masks`` in the user's cache folder.
        remove_falsefg: no class but 0 where there is no mask (the official code, on VOC21 only).
        **kwargs: see :class:`OpenVocabSegmentor`, and :class:`~mmseg_tfovss.ops.panoptic_cut.CutSettings`.

    Raises:
        ValueError: a setting out of range.
        FileNotFoundError: the network's weights, or ``masks``, are not on this machine.
    """

    reads_original = True
    option_records: ClassVar[dict[str, type]] = {"cut": CutSettings}
    acts_with: ClassVar[Mapping[str, Needs]] = dict.fromkeys(
        ("cache_dir", *(field.name for field in fields(CutSettings))),
        Needs("{}.masks=None", lambda value: not value("masks")),
    )

    def __init__(
        self,
        *,
        vfm: Mapping[str, Any] | None = None,
        masks: str | None = None,
        cache_dir: str | None = None,
        remove_falsefg: bool = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        cut = take_options(CutSettings, kwargs)
        check_network("vfm", vfm)
        if masks is not None and not isinstance(masks, str | Path):
            raise ValueError(f"model.masks must be a file or a folder, but got {masks!r}.")
        check_choice("remove_falsefg", remove_falsefg, (True, False))
        super().__init__(**kwargs)
        self.cut, self.remove_falsefg = cut, remove_falsefg
        self.check_words(self.decode_head)
        self.masks = check_recorded("model.masks", masks, ENDINGS) if masks else None
        self.cache_dir = Path(cache_dir).expanduser() if cache_dir else None
        network = None if self.masks else dict(vfm or _DINO)
        self.companion("vfm", network, gives="projections", optional=self.masks is not None)
        if self.vfm is not None and cut.cut_size < self.vfm.patch_size:
            raise ValueError(
                f"model.cut_size={cut.cut_size} is less than a patch of {self.vfm.name}, {self.vfm.patch_size} pixels."
            )
        self._network_options = {name: str(value) for name, value in (network or {}).items() if name != "pretrained"}

    def check_words(self, head: Any) -> None:  # noqa: ANN401 - a text head
        """Refuse ``remove_falsefg`` for a list without a background."""
        if self.remove_falsefg and head.vocabulary.background is False:
            raise ValueError(
                "model.remove_falsefg=True makes class 0 the background, but the vocabulary"
                f" {head.vocabulary.source} has none: set it to False."
            )

    # -- masks, once per image --------------------------------------------------------------------------------------

    def look(self, scenes: Sequence[Scene]) -> dict[str, Seen]:
        """Masks (M, H, W), bool, of the images as they are labelled; the last one is of what is in no other."""
        found = [self.read_masks(scene) if self.masks else self.find_masks(scene) for scene in scenes]
        return {MASKS: [torch.from_numpy(masks).to(scenes[0].image.device) for masks in found]}

    def read_masks(self, scene: Scene) -> np.ndarray:
        """Those recorded for an image."""
        assert self.masks is not None
        return recorded_masks(self.masks, scene.path, scene.size)

    def find_masks(self, scene: Scene) -> np.ndarray:
        """Those that are cut, or were cut before."""
        image = self.decoded(scene)
        what = {
            "image": hashlib.sha256(image.tobytes()).hexdigest(),
            "shape": image.shape,
            "cut": asdict(self.cut),
            "network": [self.vfm.weights_hash, self._network_options],
        }
        return cached_masks(lambda: self.cut_masks(image, scene.size), what, scene.size, self.cache_dir)

    def cut_masks(self, image: np.ndarray, size: Size) -> np.ndarray:
        """Panoptic Cut of an image (h, w, 3), uint8: (M, H, W), the rest last."""
        side = self.cut.cut_size
        grid = (side // self.vfm.patch_size,) * 2
        square = np.array(Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS))
        pixels = torch.from_numpy(square).to(self.data_preprocessor.mean).permute(2, 0, 1)[None]
        keys = self.vfm.projections(pixels, grid)[1][0]  # (heads, N, d)
        masks = cut_patches(keys.transpose(0, 1).flatten(1), grid, self.cut.tau, self.cut.max_masks)
        return with_rest(resize_masks(sharpen(masks, square, self.cut.crf_steps), size))

    # -- grounding, window by window --------------------------------------------------------------------------------

    def assemble(self, scene: Scene, maps: Maps) -> dict[str, Canvas]:
        """The mean logits of every mask in its windows, on pixels."""
        masks, foreground = scene.seen[MASKS], None
        plan = self.window_plan(scene.resized)
        if self.mode == "whole" and self.whole_upsampling == "direct":
            plan = WindowPlan.whole(scene.size)
        elif scene.resized != scene.size:
            masks = F.interpolate(masks[None].float(), size=scene.resized, mode="nearest")[0] > 0
        if self.remove_falsefg:
            foreground = self.decode_head.query_class > 0
        return {LOGITS: ground(plan, maps[LOGITS].float(), masks, scene.size, foreground)}
