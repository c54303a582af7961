"""CorrCLIP: attend within regions, and let them vote. Zhang et al., ICCV 2025, arXiv:2411.10086 (v1).

Official code: zdk258/CorrCLIP @ 103bc18, folder CorrCLIPv1, whose CLIP weights are MetaCLIP's.

Regions:   a map of instances comes from outside (the authors': SAM 2); 0 is what none covers
Features of a frozen DINO, on its own grid:  F = q + k of its last block, heads side by side, of length 1;   S = F F^T
Merging, in a window:   regions whose mean features m are alike: DBSCAN with distances max(m m^T) - m m^T
Scope:     pairs of patches of one merged region; if one of them is uncovered, pairs with S_mn > mean S
Correlations, one for all heads:   A = softmax_n(tau S_mn) over the scope
Branches, of L blocks; v is the last block's, of the patches, brought to the DINO's grid (bilinear):
    main       out_proj(A v(X^{L-1}))                            (no residual, no feed-forward)
    spatial    the same of the mean of X^l over ``spatial_layers``
    semantic   for each region a copy of the class token, which in all L blocks attends to the class token and to the
               region's patches; all patches of the region get what comes out
Features   = proj(ln_post(main) + alpha ln_post(spatial) + beta ln_post(semantic));   windows are padded as ProxyCLIP's
Labels:    every region of the given map takes the class that most of its pixels have (``map_correction``)

Quirks of the official code (``official_quirks``):
  * The smallest id of a window, and of the image, is taken for what is not covered, also where it is a region.
  * The padding of a window is a region of its own. Without quirks: it is not covered.
  * Kept in either case: DINO's image is computed from CLIP's as in ProxyCLIP's code, see proxyclip.py.
Deviations: synonyms are merged in every class; the official code, which has lists with synonyms of class 0 alone, would
mix up others. A patch is always in its own scope.
[open] A region that DBSCAN calls noise stays as it is; with the authors' ``min_samples`` of 1 there is none.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.checks import check_positive, check_range
from mmseg_tfovss.encoders.clip import CLIPBlock, Projections
from mmseg_tfovss.encoders.recorded import check_recorded, read_instances, recorded_file
from mmseg_tfovss.encoders.stream import Keep, Stream
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.methods.options import check_choice
from mmseg_tfovss.methods.stages import LOGITS, Maps, Refined, Scene, Seen, Windows
from mmseg_tfovss.ops.canvas import Canvas, Size
from mmseg_tfovss.ops.clustering import check_dbscan
from mmseg_tfovss.ops.scope import attend_in_scope, merge_regions, resize_ids
from mmseg_tfovss.ops.tokens import values_on_grid
from mmseg_tfovss.registry import MODELS

INSTANCES, RESIZED = "instances", "instances of the resized image"  # seen of an image: (H, W) and (1, H', W')
FEATURES, REGIONS, SIGHT = "F", "regions", "what copies see"  # given to the blocks
COPIES, SPATIAL = "copies of the class token", "spatial branch"  # what goes along
_PADDING = 1 << 40  # id of padded pixels: larger than any region's
_LAYERS = {12: (6, 10), 24: (11, 22), 32: (3, 30)}  # of the spatial branch, by depth of the tower


@MODELS.register_module()
class CorrCLIP(OpenVocabSegmentor):
    """Let patches attend within the regions of a given map of instances.

    Args:
        masks: the maps: a file, for one image, or a folder with a file for each image's stem; PNG, or .npz with the key
            ``instance_mask``. ``None``: no region of any image is known.
        vfm: config of the network that gives projections, e.g. ``dict(type='DINO')``.
        eps: of DBSCAN, > 0.
        min_samples: of DBSCAN, >= 1.
        tau: sharpness of the correlations, > 0.
        alpha: weight of the spatial branch, >= 0; 0 leaves it out.
        beta: weight of the semantic branch, >= 0; 0 leaves it out.
        spatial_layers: (first, last) block of the spatial branch, from 1; ``None``: 6 to 10 of 12, 11 to 22 of 24, 3 to
            30 of 32, and the same share of other towers as of those with 12.
        map_correction: regions take the class that most of their pixels have.
        official_quirks: as in the official code, see above; False: as in the paper.
        pad_to: as in the official code, windows are padded to multiples of 56 pixels.
        **kwargs: see :class:`OpenVocabSegmentor`, but for ``residual`` and ``feed_forward``.

    Raises:
        ValueError: a setting out of range, or a network without projections.
        FileNotFoundError: there are no such maps, or the network's weights are not on this machine.
    """

    label_options = frozenset({"map_correction"})
    votes_off = "map_correction=False"

    def __init__(
        self,
        *,
        masks: str | None,
        vfm: Mapping[str, Any],
        eps: float = 0.2,
        min_samples: int = 1,
        tau: float = 4.0,
        alpha: float = 1.0,
        beta: float = 0.5,
        spatial_layers: Sequence[int] | None = None,
        map_correction: bool = True,
        official_quirks: bool = True,
        pad_to: int | str | None = 56,
        **kwargs: object,
    ) -> None:
        check_dbscan(eps, min_samples)
        check_positive(**{"model.tau": tau})
        check_range("model.alpha", alpha, 0, math.inf)
        check_range("model.beta", beta, 0, math.inf)
        check_choice("map_correction", map_correction, (True, False))
        check_choice("official_quirks", official_quirks, (True, False))
        source = None if masks is None else check_recorded("model.masks", masks)
        super().__init__(pad_to=pad_to, **kwargs)  # type: ignore[arg-type]
        if spatial_layers is not None and not alpha:
            raise ValueError("model.spatial_layers has no effect with model.alpha=0: leave it out.")
        self.masks: Path | None = source
        self.eps, self.min_samples, self.tau, self.alpha, self.beta = eps, min_samples, tau, alpha, beta
        self.map_correction, self.official_quirks = map_correction, official_quirks
        self.spatial_layers = spatial_range(spatial_layers, len(self.backbone.blocks)) if alpha else range(0)
        self.keep = Keep(tokens=self.spatial_layers)
        self.companion("vfm", vfm, gives="projections")

    @property
    def votes(self) -> bool:  # type: ignore[override]
        """Whether regions take a majority of classes."""
        return self.map_correction

    # -- regions ----------------------------------------------------------------------------------------------------

    def look(self, scenes: Sequence[Scene]) -> dict[str, Seen]:
        """The map of instances (H, W) of each image, and the same of the resized one."""
        maps = [self.instances(scene) for scene in scenes]
        resized = [resize_ids(ids, scene.resized)[None] for ids, scene in zip(maps, scenes, strict=True)]
        return {INSTANCES: maps, RESIZED: resized}

    def instances(self, scene: Scene) -> Tensor:
        """The map of instances (H, W) of an image.

        Raises:
            ValueError: it is damaged, or of another size.
            FileNotFoundError: there is none.
        """
        device = scene.image.device
        if self.masks is None:
            return torch.zeros(scene.size, dtype=torch.int64, device=device)
        path = recorded_file("model.masks", self.masks, scene.path)
        found = read_instances(path)
        if found.shape != tuple(scene.size):
            raise ValueError(
                f"The instance map {path} is {found.shape[0]}x{found.shape[1]} pixels, but its image"
                f" {scene.path or '(no path)'} is {scene.size[0]}x{scene.size[1]} (height x width)."
            )
        return torch.from_numpy(found).to(device)

    def merged_regions(self, windows: Windows, features: Tensor, grid: Size) -> Tensor:
        """Numbers (n, h', w') of merged regions on the DINO's grid; 0: uncovered. Features F (n, N', D)."""
        beyond = _PADDING if self.official_quirks else 0
        cut = windows.cut([scene.seen[RESIZED] for scene in windows.scenes], beyond)[:, 0]
        ids = resize_ids(cut, grid).flatten(1)  # (n, N')
        merged = [
            merge_regions(own, each, int(each.min()) if self.official_quirks else 0, self.eps, self.min_samples)
            for own, each in zip(features, ids, strict=True)
        ]
        return torch.stack(merged).unflatten(1, grid)

    # -- the blocks -------------------------------------------------------------------------------------------------

    def early_block(self, number: int, block: CLIPBlock, stream: Stream, projections: Projections | None) -> Tensor:
        """A block, and the copies of the class token in it."""
        if self.beta:
            projections = projections or block.qkv(stream.tokens)
            self.take_copies_along(block, stream, projections)
        return super().early_block(number, block, stream, projections)

    def take_copies_along(self, block: CLIPBlock, stream: Stream, projections: Projections) -> None:
        """Copies (B, R, C) through a block: they attend to tokens with these projections, each to what it may see."""
        sight = stream.given[SIGHT]  # (B, R, 1 + N)
        copies = stream.along.get(COPIES)
        if copies is None:
            copies = stream.tokens[:, :1].expand(-1, sight.shape[1], -1)
        query, _, _ = block.qkv(copies)
        _, key, value = projections
        heads = F.scaled_dot_product_attention(query, key, value, attn_mask=sight[:, None])
        copies = copies + block.merge_heads(heads)
        stream.along[COPIES] = copies + block.feed_forward(copies)

    def last_block(self, block: CLIPBlock, tokens: Tensor, stream: Stream) -> Tensor:
        """The main branch behind the class token as it was, (B, 1 + N', C); the others go along."""
        projections = block.qkv(tokens)
        values = [projections[2]]
        if self.alpha:
            shallow = torch.stack([stream.kept_tokens[number] for number in self.spatial_layers]).mean(dim=0)
            values.append(block.values(shallow))
        if self.beta:
            self.take_copies_along(block, stream, projections)
        main, *rest = self.attend_in_regions(block, values, stream)
        if rest:
            [stream.along[SPATIAL]] = rest
        return torch.cat([tokens[:, :1], main.to(tokens.dtype)], dim=1)

    def attend_in_regions(self, block: CLIPBlock, values: Sequence[Tensor], stream: Stream) -> list[Tensor]:
        """Outputs (B, N', C) of the attention A of values (B, heads, 1 + N, d)."""
        regions = stream.given[REGIONS]  # (B, h', w')
        grid = regions.shape[-2], regions.shape[-1]
        side_by_side = torch.cat([values_on_grid(value, stream.grid, grid) for value in values], dim=2)
        found = []
        for features, own, value in zip(stream.given[FEATURES], regions.flatten(1), side_by_side, strict=True):
            attention = attend_in_scope(features @ features.T, own, self.tau)  # A (N', N'), of one window at a time
            found.append(attention.to(value.dtype) @ value)
        return [block.out_proj(part) for part in torch.stack(found).chunk(len(values), dim=2)]

    # -- the five stages --------------------------------------------------------------------------------------------

    def encode(self, windows: Windows) -> Maps:
        """Cosine logits on the DINO's grid."""
        images, grid = self.vfm.own_patches(self.grey_levels(windows.images, unrounded=True))
        query, key, _ = self.vfm.projections(images, grid)
        features = F.normalize((query + key).transpose(1, 2).flatten(2), dim=-1)  # F (n, N', D)
        regions = self.merged_regions(windows, features, grid)
        coarse = resize_ids(regions, self.backbone.grid(windows.images))  # (n, h, w), on CLIP's grid
        numbers = torch.arange(int(coarse.max()) + 1, device=coarse.device)
        members = coarse.flatten(1)[:, None] == numbers[:, None]  # (n, R, N)
        given = {FEATURES: features, REGIONS: regions, SIGHT: F.pad(members, (1, 0), value=True)}
        stream = self.run_blocks(windows.images, given)
        found = self.backbone.project(stream.tokens[:, 1:])
        if self.alpha:
            found = found + self.alpha * self.backbone.project(stream.along[SPATIAL])
        if self.beta:
            semantic = self.backbone.project(stream.along[COPIES])  # (n, R, D)
            chosen = resize_ids(coarse, grid).flatten(1)[..., None].expand(-1, -1, semantic.shape[2])
            found = found + self.beta * semantic.gather(1, chosen)
        return {LOGITS: self.decode_head(found.transpose(1, 2).unflatten(2, grid))}

    def refine(self, scene: Scene, canvases: Mapping[str, Canvas]) -> Refined:
        """The regions that vote, on the original image: -1 where there is none."""
        refined = super().refine(scene, canvases)
        if not self.map_correction:
            return refined
        ids = scene.seen[INSTANCES]
        known, regions = torch.unique(ids, return_inverse=True)
        uncovered = known[0] if self.official_quirks else 0
        numbers = (known != uncovered).cumsum(0) - 1
        return replace(refined, regions=numbers.masked_fill(known == uncovered, -1)[regions])


def spatial_range(layers: Sequence[int] | None, depth: int) -> range:
    """Blocks of the spatial branch in a tower of so many."""
    if layers is None:
        share = [max(1, min(depth - 2, round(number * depth / 12))) for number in _LAYERS[12]]
        first, last = _LAYERS.get(depth, share)
        return range(first, last + 1)
    chosen = tuple(layers) if isinstance(layers, Sequence) else ()
    numbers = len(chosen) == 2 and all(isinstance(number, int) for number in chosen)
    if not numbers or not 1 <= chosen[0] <= chosen[1] < depth:
        raise ValueError(
            f"model.spatial_layers must be None or (first, last) with 1 <= first <= last < {depth}, but got {layers!r}."
        )
    return range(chosen[0], chosen[1] + 1)
