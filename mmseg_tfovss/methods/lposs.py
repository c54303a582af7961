"""LPOSS, LPOSS+: labels spread over patches, then pixels. Stojnic et al., CVPR 2025, arXiv:2503.19777.

Official code: vladan-stojnic/LPOSS @ e489a74.

CLIP as MaskCLIP has it (values of the last block, with residual and feed-forward): patches c_i, cosines y_iq = c_i t_q
DINO:      values of the last block, heads side by side, of length 1:  d_i
Patches of all windows of an image are the nodes of one graph, at their pixels p_i in the resized image:
    w_ij = max(d_i d_j, 0)^gamma exp(-sigma |p_i - p_j|)   for the k patches j most similar to i, i among them
    W = w + w^T without its diagonal;   S = D^(-1/2) W D^(-1/2)
    (I - alpha S) z_q = y_q   by at most ``maxiter`` steps of conjugate gradients from 0, in float64
Windows' maps z are put together on the pixels of the resized image as logits are.
LPOSS+:    the same on those pixels, with y the result and each pixel joined to the r x r around it by
    w_ij = exp(-|l_i - l_j| / tau),   l = Lab / (100, 128, 128)
Class c:   the largest z_q of its queries, then resampled to the original image; no scale and no threshold.

The steps are few: with the paper's settings, the residual is 0.1 to 4 % after them, so their number is part of the
method. Values are no cosines: up to about 6, and 160 for LPOSS+. What leaves ``refine`` are C classes, not Q queries.
Sizes that are no multiples of a patch are filled up with black on the right and below, and the grid of patches is then
stretched over the pixels that were there, as in the official code; the paper's windows need none of this.

Deviations: the official code gives class 0 all queries but the last C - 1, for its lists have synonyms there only; here
any class may have some. Where an image has fewer than k patches, all are neighbours (there: numbers of no node). Whole
images (``mode="whole"``, which no config of the authors uses) go from patches to the original in one step, classes
first, as there; LPOSS+, which fails on them there, takes them to the pixels of the resized image first, like windows.
Of neighbours that are equally similar but for rounding, another one may be the k-th: in the official outputs that we
have, that moves single scores by up to 7e-4, and by 1.4e-3 for LPOSS+.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.checks import check_count, check_positive, check_range, is_number
from mmseg_tfovss.methods.maskclip import MaskCLIP
from mmseg_tfovss.methods.options import check_choice
from mmseg_tfovss.methods.stages import Maps, Refined, Scene, Windows
from mmseg_tfovss.ops.canvas import BLOCK_ELEMENTS, Canvas, ChannelCanvas, PatchCanvas, Size
from mmseg_tfovss.ops.lab import rgb_to_lab
from mmseg_tfovss.ops.pamr import pamr_canvas
from mmseg_tfovss.ops.propagation import colour_graph, neighbour_graph, propagate, propagate_over_pixels
from mmseg_tfovss.ops.windows import WindowPlan, resample
from mmseg_tfovss.registry import MODELS

COSINES, NODES = "cosines", "node features"  # maps of windows: y, and d
SPREAD = "propagated cosines"  # canvas of all windows: z
FEATURES = ("query", "key", "value")
COLOUR_SCALE = (100.0, 128.0, 128.0)
AT_ONCE = 1 << 24  # scores of pixels solved for at a time
Solve = Callable[[slice], Iterable[tuple[slice, Tensor]]]
"""Some queries -> their scores (q, H', W'), some at a time."""


@MODELS.register_module()
class LPOSS(MaskCLIP):
    """Spread CLIP's cosines over the patches of all windows of an image, along DINO's similarities.

    Args:
        vfm: config of the network that compares patches, e.g. ``dict(type='DINO', pretrained='facebook/dino-vitb16')``.
        vfm_features: ``value``, ``key`` or ``query`` of its last block.
        k: neighbours of a patch, itself among them.
        gamma: power of similarities, >= 0.
        sigma: of distances, per pixel of the resized image, >= 0.
        pix_dist_pow: power of distances, >= 0.
        alpha: how far scores spread, in [0, 1).
        maxiter: steps of conjugate gradients.
        tol: relative residual at which they stop earlier, >= 0.
        **kwargs: see :class:`~mmseg_tfovss.methods.maskclip.MaskCLIP`.

    Raises:
        ValueError: a setting out of range.
    """

    of_classes = True

    def __init__(
        self,
        *,
        vfm: dict[str, Any],
        vfm_features: str = "value",
        k: int = 400,
        gamma: float = 3.0,
        sigma: float = 0.01,
        pix_dist_pow: float = 1.0,
        alpha: float = 0.95,
        maxiter: int = 10,
        tol: float = 1e-6,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        check_choice("vfm_features", vfm_features, FEATURES)
        check_count(**{"model.k": k, "model.maxiter": maxiter})
        for name, value in {"gamma": gamma, "sigma": sigma, "tol": tol, "pix_dist_pow": pix_dist_pow}.items():
            if not is_number(value) or value < 0:
                raise ValueError(f"model.{name} must be a number >= 0, but got {value!r}.")
        if not is_number(alpha) or not 0 <= alpha < 1:
            raise ValueError(f"model.alpha must lie in [0, 1), but got {alpha!r}.")
        if kwargs.get("pad_to") is not None:
            raise ValueError(
                f"model.pad_to has no effect: {type(self).__name__} pads by itself, on the right and below."
            )
        super().__init__(**kwargs)
        self.vfm_features, self.k = vfm_features, k
        self.gamma, self.sigma, self.pix_dist_pow = gamma, sigma, pix_dist_pow
        self.alpha, self.maxiter, self.tol = alpha, maxiter, tol
        self.companion("vfm", vfm, gives="projections")

    def encode(self, windows: Windows) -> Maps:
        """Cosines y (n, Q, h, w), and d (n, D, h, w)."""
        images = self.padded(windows.images)
        grid = self.backbone.grid(images)
        projections = self.vfm.projections(self.grey_levels(images), grid)
        chosen = projections[FEATURES.index(self.vfm_features)].transpose(2, 3).flatten(1, 2)  # (n, heads d, h w)
        return {
            COSINES: self.decode_head(self.extract_feat(images)),
            NODES: F.normalize(chosen, dim=1).unflatten(2, grid),
        }

    def padded(self, images: Tensor) -> Tensor:
        """Images (n, 3, H, W), black on the right and below up to whole patches."""
        missing = [-pixels % self.backbone.patch_size for pixels in images.shape[-2:]]
        if not any(missing):
            return images
        height, width = images.shape[-2:]
        black = -self.data_preprocessor.mean / self.data_preprocessor.std
        whole = black.expand(len(images), 3, height + missing[0], width + missing[1]).clone()
        whole[..., :height, :width] = images
        return whole

    def assemble(self, scene: Scene, maps: Maps) -> dict[str, Canvas]:
        """The solution z on the pixels of the resized image, or on the patches of a whole one."""
        plan = self.window_plan(scene.resized)
        spread = self.spread(maps, list(product(plan.tops, plan.lefts))).float()
        on_patches = self.mode == "whole" and self.whole_upsampling == "direct"
        grid = (spread.shape[-2], spread.shape[-1])
        return {SPREAD: plan.stitch(spread, grid if on_patches else scene.resized, direct=on_patches)}

    def spread(self, maps: Maps, corners: Sequence[tuple[int, int]]) -> Tensor:
        """The solution z (n, Q, h, w) for the n windows of one image, whose first pixels are given."""
        cosines, nodes = (maps[name].flatten(2).transpose(1, 2).flatten(0, 1) for name in (COSINES, NODES))
        grid = (maps[COSINES].shape[-2], maps[COSINES].shape[-1])
        graph = neighbour_graph(
            nodes,
            self.places(corners, grid).to(nodes),
            neighbours=self.k,
            gamma=self.gamma,
            sigma=self.sigma,
            power=self.pix_dist_pow,
        )
        solved = propagate(graph, cosines, alpha=self.alpha, steps=self.maxiter, tolerance=self.tol)
        return solved.unflatten(0, (len(corners), *grid)).permute(0, 3, 1, 2)

    def places(self, corners: Sequence[tuple[int, int]], grid: Size) -> Tensor:
        """Centres (n h w, 2) of the patches of windows, in pixels of the resized image."""
        patches = torch.cartesian_prod(*(torch.arange(count) + 0.5 for count in grid)) * self.backbone.patch_size
        return torch.cat([patches + torch.tensor(corner) for corner in corners])

    def refine(self, scene: Scene, canvases: Mapping[str, Canvas]) -> Refined:
        """Scores of classes on the original image."""
        spread = canvases[SPREAD]
        assert isinstance(spread, PatchCanvas)
        logits: Canvas = self.class_scores(spread, scene)
        if self.pamr_steps:
            logits = pamr_canvas(logits, scene.image, self.pamr_dilations, self.pamr_steps)
        return Refined(logits)

    def class_scores(self, spread: PatchCanvas, scene: Scene) -> Canvas:
        """Scores of classes on the original image, of the queries' z."""
        if spread.channels == self.decode_head.num_classes:
            return resample(spread, scene.size)
        return self.largest(lambda queries: ((one, spread.some(one)) for one in one_by_one(queries)), spread, scene)

    def largest(self, solve: Solve, spread: PatchCanvas, scene: Scene) -> Canvas:
        """The largest score of each class on the original image, of queries' scores on the canvas's pixels."""
        count, device = self.decode_head.num_classes, scene.image.device

        def compute(classes: slice) -> Tensor:
            return self.largest_of(solve, classes, spread.size, scene.size).dense()

        at_once = max(1, BLOCK_ELEMENTS // math.prod(max(spread.size, scene.size, key=math.prod)))
        some = ChannelCanvas(scene.size, count, device, compute, at_once)
        return self.largest_of(solve, slice(0, count), spread.size, scene.size) if some.may_be_held else some

    def largest_of(self, solve: Solve, classes: slice, size: Size, target: Size) -> PatchCanvas:
        """The same of some classes, not multiplied out."""
        known = self.decode_head.query_class  # ascending
        queries = slice(int((known < classes.start).sum()), int((known < classes.stop).sum()))
        scores = torch.full((classes.stop - classes.start, *size), -torch.inf, device=known.device)
        for some, values in solve(queries):
            for number, value in zip((known[some] - classes.start).tolist(), values, strict=True):
                torch.maximum(scores[number], value.float(), out=scores[number])
        return WindowPlan.whole(size).stitch(scores[None], target, direct=True)

    def patch_logits(self, inputs: Tensor, scenes: Sequence[Scene] | None = None, places: object = ()) -> Tensor:
        """The solution z (B, Q, h, w) for windows (B, 3, H, W), each as one of all the windows of its image.

        Args:
            inputs: windows.
            scenes: the images that they are of; ``None``: each is an image, and its only window.
            places: not needed: a window is found by its pixels.

        Raises:
            ValueError: one is no window of its image.
        """
        if scenes is None:
            maps = self.encode(Windows(inputs, [Scene(image, (image.shape[-2], image.shape[-1])) for image in inputs]))
            alone = ({name: values[one : one + 1] for name, values in maps.items()} for one in range(len(inputs)))
            return torch.cat([self.spread(own, [(0, 0)]) for own in alone]).to(inputs.dtype)
        found = []
        for window, scene, own in zip(inputs, scenes, self.encode_scenes(scenes), strict=True):
            plan = self.window_plan(scene.resized)
            same = [number for number, other in enumerate(plan.cut(scene.image)) if torch.equal(window, other)]
            if not same:
                raise ValueError(
                    f"{type(self).__name__} solves for all windows of an image together: a window must be one of them,"
                    f" with its corner in one of the rows {list(plan.tops)} and columns {list(plan.lefts)}."
                )
            found.append(self.spread(own, list(product(plan.tops, plan.lefts)))[same[0]])
        return torch.stack(found).to(inputs.dtype)


@MODELS.register_module()
class LPOSSPlus(LPOSS):
    """LPOSS, and then the same over the pixels of the resized image, along their colours.

    Args:
        r: side of the square of a pixel's neighbours, odd, in [3, 31].
        tau: of distances of colours, > 0.
        whole_upsampling: ``two_step`` only, over the resized image's pixels.
        **kwargs: see :class:`LPOSS`.

    Raises:
        ValueError: a setting out of range.
    """

    def __init__(
        self,
        *,
        r: int = 13,
        tau: float = 0.01,
        whole_upsampling: str = "two_step",
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        check_range("model.r", r, 3, 31, whole=True)
        if r % 2 == 0:
            raise ValueError(f"model.r must be odd, but got {r!r}.")
        check_positive(**{"model.tau": tau})
        check_choice("whole_upsampling", whole_upsampling, ("two_step",))
        super().__init__(whole_upsampling=whole_upsampling, **kwargs)
        self.r, self.tau = r, tau

    def class_scores(self, spread: PatchCanvas, scene: Scene) -> Canvas:
        """Scores of classes on the original image, after z has spread over the resized image's pixels."""
        grey = self.grey_levels(scene.image).round()  # whole numbers before they were normalised
        colours = rgb_to_lab(grey / 255) / grey.new_tensor(COLOUR_SCALE)[:, None, None]
        graph = colour_graph(colours, radius=self.r // 2, tau=self.tau)
        return self.largest(lambda queries: self.over_pixels(graph, spread, queries), spread, scene)

    def over_pixels(self, graph: Tensor, spread: PatchCanvas, which: slice) -> Iterator[tuple[slice, Tensor]]:
        """The solution (q, H', W') over pixels of a colour graph, for some of the queries at a time."""
        step = max(1, AT_ONCE // math.prod(spread.size))
        for first in range(which.start, which.stop, step):
            queries = slice(first, min(first + step, which.stop))
            spread_further = propagate_over_pixels(
                graph,
                spread.some(queries),
                radius=self.r // 2,
                alpha=self.alpha,
                steps=self.maxiter,
                tolerance=self.tol,
            )
            yield queries, spread_further


def one_by_one(queries: slice) -> Iterator[slice]:
    """Slices of one query each."""
    yield from (slice(number, number + 1) for number in range(queries.start, queries.stop))
