"""CLIPtrase + SAM: SAM's masks in place of the clusters' own. Shao et al., ECCV 2024, arXiv:2407.08268, Section 4.4.

Official code: none for this part (leaves162/CLIPtrase @ 2b7de61 has no SAM). Up to the clusters c, denoising included,
and from the regions m on, everything is CLIPtrase's: see cliptrase.py.

Points:    the centre of patch (r, c) of p pixels, as an index of pixels: x = (c + 1/2) p - 1/2, y = (r + 1/2) p - 1/2
Prompt k:  the points of cluster k are positive, those of all other clusters background; noise gives no points
Masks:     s_k = SAM(image, prompt k), logits at full size
Regions:   m(x) = argmax_k s_k(x) where some s_k(x) > 0
Voting:    every region takes the class that most of its pixels have

[open] The paper leaves these to the reader: which SAM (ViT-B), and on which image (the network's input, enlarged by
SAM's own preprocessing); how many points of a cluster (all of them; ``max_points``: evenly spread in reading order);
which of SAM's three masks (the one with the highest predicted IoU; ``sam.multimask``); pixels in several masks (the
highest logit); pixels in none (their region in CLIPtrase, Eq. 8, so that every pixel takes part in a vote).
Deviations: those of CLIPtrase. Table 3's numbers have not been reproduced.
"""

from typing import Any

import torch
from torch import Tensor

from mmseg_tfovss.checks import is_number
from mmseg_tfovss.encoders.clip import Grid
from mmseg_tfovss.methods.cliptrase import CLUSTERED, CLIPtrase
from mmseg_tfovss.methods.options import check_choice
from mmseg_tfovss.methods.stages import Scene
from mmseg_tfovss.registry import MODELS


@MODELS.register_module()
class CLIPtraseSAM(CLIPtrase):
    """CLIPtrase whose regions are masks that SAM finds for the clusters. Whole images only.

    Args:
        sam: config of the frozen SAM, e.g. ``dict(type='SAM', pretrained='facebook/sam-vit-base')``.
        max_points: points of a cluster at most; ``None``: one for each of its patches.
        **kwargs: see :class:`~mmseg_tfovss.methods.cliptrase.CLIPtrase`; ``cluster`` cannot be ``none``.

    Raises:
        ValueError: a setting out of range, or sliding windows.
        FileNotFoundError: SAM's weights are not on this machine.
    """

    modes = ("whole",)
    labels_in_threads = False  # SAM needs far more memory than DBSCAN, and there is little to gain
    label_options = CLIPtrase.label_options | {"max_points"}

    def __init__(self, *, sam: dict[str, Any], max_points: int | None = None, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        check_choice("cluster", self.cluster, [way for way in CLUSTERED if way != "none"])
        if max_points is not None and not (is_number(max_points, whole=True) and max_points >= 1):
            raise ValueError(f"model.max_points must be at least 1 or None, but got {max_points!r}.")
        self.max_points = max_points
        self.companion("sam", sam, gives="masks")

    def prompts(self, clusters: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
        """Points (P, 2) in pixels of the network's input, and their labels (K, P) in each cluster's prompt.

        Args:
            clusters: (h w,) cluster ids of the patches, -1 for noise.
            grid: h and w.
        """
        ids = torch.arange(int(clusters.max()) + 1, device=clusters.device)
        chosen = torch.cat([self._spread((clusters == k).nonzero()[:, 0]) for k in ids])  # (P,) patch numbers
        places = torch.stack([chosen % grid[1], chosen // grid[1]], dim=1)  # (P, 2): column, row
        points = (places + 0.5) * self.backbone.patch_size - 0.5
        return points, (clusters[chosen] == ids[:, None]).long()

    def _spread(self, patches: Tensor) -> Tensor:
        """At most ``max_points`` of a cluster's patches (n,), evenly spread."""
        count = len(patches)
        if self.max_points is None or count <= self.max_points:
            return patches
        steps = torch.arange(self.max_points, device=patches.device)
        return patches[(2 * steps + 1) * count // (2 * self.max_points)]

    def draw_regions(self, clusters: Tensor, rows: Tensor, scene: Scene) -> Tensor:
        """Region ids (H, W) on the original image, one per cluster of its patches (N,)."""
        regions = super().draw_regions(clusters, rows, scene)
        points, labels = self.prompts(clusters, (rows.shape[-2], rows.shape[-1]))
        best, first = torch.zeros(scene.size, device=regions.device), 0  # a logit of 0 is the edge of a mask
        for masks in self.sam.masks(self.grey_levels(scene.image), points, labels, scene.size):
            top, index = masks.max(dim=0)
            regions = torch.where(top > best, first + index, regions)
            best = torch.maximum(best, top)
            first += len(masks)
        return regions
