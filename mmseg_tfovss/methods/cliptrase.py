"""CLIPtrase: recover and cluster the patches' correlation; clusters vote. Shao et al., ECCV 2024, arXiv:2407.08268.

Official code: leaves162/CLIPtrase @ 2b7de61, clip_self_correlation.py (the published numbers).

Recovery (SCR), block 12 of 12, per head on x (1 + N tokens):
    x <- x + out_proj((softmax(qq'/sqrt d) + softmax(kk'/sqrt d) + softmax(vv'/sqrt d)) v);  x <- x + FFN(x)
Correlation, from q, k, v of block 11:      w_ij = mean over heads of (cos(q_i,q_j) + cos(k_i,k_j) + cos(v_i,v_j)) / 3
Denoising (D), r = the class token's row:   B_ij = max(w_ij - r_j, 0)
Clustering (PC):                            c = DBSCAN(rows of B; eps, min_samples),   p_k = mean of B_i over c_i = k
Regions, at full size:                      m(x) = argmax_k p_k(x), p_k upsampled x 4, median-filtered, upsampled
Voting:                                     every region takes the class that most of its pixels have

[open] How w of Eq. 3 becomes attention (``averaged``): softmax(sqrt(d) w), the scale on which cosines spread as q k'.
What "j in GT" (Table 4) means: a patch has the label of most of its pixels, where "ignored" is a label too; no patch
attends to the class token, which attends to all. Which DINOv2 (Table 5): base, on CLIP's grid of patches.
Deviations: background is class 0, not C, so a tied vote prefers it. Exported logits carry the official factor 100. The
official code skips images of PC459 and ADEfull that hold nothing but label 255, by mistake; not done here.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.acting import Needs
from mmseg_tfovss.encoders.clip import CLIPBlock, Grid, Projections
from mmseg_tfovss.encoders.stream import Keep, Stream
from mmseg_tfovss.methods.options import check_choice
from mmseg_tfovss.methods.region_voting import RegionVoting
from mmseg_tfovss.methods.stages import LOGITS, Maps, Scene, Windows
from mmseg_tfovss.ops import clustering
from mmseg_tfovss.ops.attention import self_correlation
from mmseg_tfovss.ops.canvas import Canvas
from mmseg_tfovss.ops.correlation import DENOISINGS, SIMILARITIES, denoise, semantic_correlation
from mmseg_tfovss.ops.oracle import keep_within_labels, patch_labels
from mmseg_tfovss.ops.threads import work_in_threads
from mmseg_tfovss.registry import MODELS

UPSAMPLING, MEDIAN = 4, 7
ORACLE = "within_ground_truth"
RECOVERIES = ("three_softmax", "averaged", ORACLE, "self", "none")
CLUSTERED = ("rows", "features", "none")
_CLUSTERS = Needs("{}.cluster other than 'none'", lambda value: value("cluster") != "none")
ROWS, LOCAL, FEATURES = "rows", "local", "features"  # maps: the N rows of B, which patches are local, their features


@MODELS.register_module()
class CLIPtrase(RegionVoting):
    """Recovered correlation, clustered patches, one class per cluster; sliding windows are clustered each by itself.

    The first choice of each option is the official code's; the others make the paper's Tables 2, 4 and 5 (docs).

    Args:
        eps: DBSCAN's radius, > 0 (the authors': 0.7 for 224 pixels, 1.1 for 336).
        min_samples: DBSCAN's smallest neighbourhood, >= 1 (3 for 224 pixels, 7 for 336).
        recovery: attention of the recovery block: ``three_softmax`` | ``averaged`` (w, Eq. 3) | ``within_ground_truth``
            (the same, between patches of one class: an oracle, which reads the labels) | ``self`` | ``none`` (CLIP's).
        recovery_layer: number of the recovery block, from 1; ``None``: the last.
        correlation_layer: number of the block whose projections are compared; ``None``: the last but one.
        similarity: of projections, for the correlation: ``cosine`` | ``inner``.
        per_head: compare head by head (Eq. 11), or all heads side by side (Eq. 14).
        denoising: of global patches: ``cls_subtraction`` | ``self_weight`` (Eq. 7) | ``none``.
        normalise_rows: scale the clustered vectors to length 1 (Eq. 4).
        cluster: what is clustered: ``rows`` of B | ``features`` | ``none`` (pixels keep their own labels).
        mask_network: config of a network whose tokens' cosines take the place of w, e.g. ``dict(type='DINOv2')``
            (Table 5); ``None``: CLIP's own.
        cls_weighting: multiply a class's logits by that of the class token (the official code, on VOC20 only).
        **kwargs: see :class:`~mmseg_tfovss.methods.region_voting.RegionVoting`, with ``voting``.

    Raises:
        ValueError: a setting out of range, or settings that exclude each other.
    """

    logit_factor = 100.0  # exp(logit_scale) of OpenAI's models
    gives_up_residual = False  # SCR keeps both
    acts_with: ClassVar[Mapping[str, Needs]] = {
        **dict.fromkeys(("eps", "min_samples", "normalise_rows", "denoising", "voting"), _CLUSTERS),
        "recovery_layer": Needs("{}.recovery other than 'none'", lambda value: value("recovery") != "none"),
        "correlation_layer": Needs("{}.mask_network=None", lambda value: not value("mask_network")),
    }
    timed_steps = ("correlate", "clusters", "find_regions")
    label_options = frozenset({"eps", "min_samples", "normalise_rows", "voting"})

    def __init__(
        self,
        *,
        eps: float = 1.1,
        min_samples: int = 7,
        recovery: str = "three_softmax",
        recovery_layer: int | None = None,
        correlation_layer: int | None = None,
        similarity: str = "cosine",
        per_head: bool = True,
        denoising: str = "cls_subtraction",
        normalise_rows: bool = False,
        cluster: str = "rows",
        mask_network: dict[str, Any] | None = None,
        cls_weighting: bool = False,
        **kwargs: object,
    ) -> None:
        preprocessor = {"type": "CLIPPreprocessor", "exact": True}
        super().__init__(**{"data_preprocessor": preprocessor, **kwargs})  # type: ignore[arg-type]
        check_choice("recovery", recovery, RECOVERIES)
        check_choice("similarity", similarity, SIMILARITIES)
        check_choice("denoising", denoising, DENOISINGS)
        check_choice("cluster", cluster, CLUSTERED)
        switches = {"per_head": per_head, "normalise_rows": normalise_rows, "cls_weighting": cls_weighting}
        for name, switch in switches.items():
            check_choice(name, switch, (True, False))
        clustering.check_dbscan(eps, min_samples)
        layers = len(self.backbone.blocks)
        self.recovery_layer = layers if recovery_layer is None else recovery_layer
        self.correlation_layer = layers - 1 if correlation_layer is None else correlation_layer
        check_choice("recovery_layer", self.recovery_layer, range(1, layers + 1))
        check_choice("correlation_layer", self.correlation_layer, range(1, layers + 1))
        self.recovery, self.similarity, self.per_head, self.denoising = recovery, similarity, per_head, denoising
        self.eps, self.min_samples, self.normalise_rows = eps, min_samples, normalise_rows
        self.cluster, self.cls_weighting, self.reads_truth = cluster, cls_weighting, recovery == ORACLE
        if self.companion("mask_network", mask_network, optional=True) is None:
            self.keep = Keep(projections=(self.correlation_layer,))

    @property
    def votes(self) -> bool:  # type: ignore[override]
        """Whether clusters take a majority of classes."""
        return self.cluster != "none" and super().votes

    # -- recovery and correlation -----------------------------------------------------------------------------------

    def tokens_and_correlation(self, images: Tensor, truth: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) -> tokens in text space (B, 1 + N, D), and their correlation w (B, 1 + N, 1 + N)."""
        labels = {"labels": patch_labels(truth, self.backbone.patch_size)} if self.reads_truth else {}
        stream = self.run_blocks(images, labels)
        projections: tuple[Tensor, ...]
        if self.mask_network is None:
            projections = stream.projections[self.correlation_layer]
        else:
            tokens = self.mask_network.tokens(self.grey_levels(images), stream.grid)
            projections = (tokens[:, None],)  # one "head", one projection
        return F.normalize(self.backbone.project(stream.tokens), dim=-1), self.correlate(projections)

    def correlate(self, projections: tuple[Tensor, ...]) -> Tensor:
        """Correlation w (B, 1 + N, 1 + N) of query, key and value, each (B, heads, 1 + N, d)."""
        return semantic_correlation(projections, self.similarity, per_head=self.per_head)

    def early_block(self, number: int, block: CLIPBlock, stream: Stream, projections: Projections | None) -> Tensor:
        """SCR, if it is to be in this block; its residual and feed-forward stay."""
        if number != self.recovery_layer:
            return super().early_block(number, block, stream, projections)
        tokens = stream.tokens + self.recover(block, stream.tokens, stream)
        return tokens + block.feed_forward(tokens)

    def attend(self, block: CLIPBlock, tokens: Tensor, stream: Stream) -> Tensor:
        """SCR in the last block, unless it is in an earlier one."""
        last = self.recovery_layer == len(self.backbone.blocks)
        return self.recover(block, tokens, stream) if last else block.attention(tokens)

    def recover(self, block: CLIPBlock, tokens: Tensor, stream: Stream) -> Tensor:
        """SCR's attention, (B, 1 + N, C); within ``stream.given["labels"]`` (B, N) for the oracle."""
        if self.recovery == "none":
            return block.attention(tokens)
        query, key, value = block.qkv(tokens)  # each (B, heads, 1 + N, d)
        if self.recovery == "three_softmax":
            heads = self_correlation(query, value) + self_correlation(key, value) + self_correlation(value, value)
        elif self.recovery == "self":
            heads = value
        else:
            scale = value.shape[-1] ** 0.5 if self.similarity == "cosine" else 1.0
            scores = scale * self.correlate((query, key, value))  # (B, 1 + N, 1 + N)
            if self.reads_truth:
                scores = keep_within_labels(scores, stream.given["labels"])
            heads = scores.softmax(dim=-1)[:, None].to(value.dtype) @ value
        return block.merge_heads(heads)

    # -- the five stages --------------------------------------------------------------------------------------------

    def logits(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Cosine logits (B, Q, h, w) of tokens in text space (B, 1 + N, D)."""
        return self.decode_head(tokens[:, 1:].transpose(1, 2).unflatten(2, grid)).contiguous()

    def patch_logits(self, inputs: Tensor, scenes: object = None, places: object = ()) -> Tensor:
        """The paper's L = 100 cos on the patch grid, (B, Q, h, w), not weighted by the class token's."""
        tokens, _ = self.tokens_and_correlation(inputs)
        return self.logit_factor * self.logits(tokens, self.backbone.grid(inputs))

    def encode(self, windows: Windows) -> Maps:
        """Cosine logits, the N rows of B, which patches are local, and features; sliding windows are voted in here."""
        grid = self.backbone.grid(windows.images)
        tokens, correlation = self.tokens_and_correlation(windows.images, windows.truth)
        rows, local = denoise(correlation, self.denoising)
        logits = self.logits(tokens, grid)
        if self.cls_weighting:
            logits = logits * (self.logit_factor * tokens[:, 0] @ self.decode_head.text_features.T)[..., None, None]
        maps = {LOGITS: logits, ROWS: rows.unflatten(2, grid), LOCAL: local[:, None].unflatten(2, grid).to(rows.dtype)}
        if self.cluster == "features":
            maps[FEATURES] = tokens[:, 1:].transpose(1, 2).unflatten(2, grid)
        if self.mode == "whole":
            return maps
        if self.cluster == "none":
            return {LOGITS: logits}
        on_host = {name: values.cpu() for name, values in maps.items()}  # where DBSCAN is
        by_window = [{name: values[index] for name, values in on_host.items()} for index in range(len(logits))]
        return {LOGITS: torch.stack(work_in_threads(self.vote_in_window, [by_window])).to(logits.device)}

    def clusters(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Cluster ids (N,) of the patches, -1 for noise, from the maps (C, h, w) of one window or image."""
        vectors = maps[FEATURES].flatten(1).T if self.cluster == "features" else maps[ROWS].flatten(1)
        if self.normalise_rows:
            vectors = F.normalize(vectors, dim=1)
        return clustering.cluster_rows(vectors, maps[LOCAL].flatten() > 0, self.eps, self.min_samples)

    def vote_in_window(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Logits (Q, h, w) in which every patch has the mean logits of its region."""
        return clustering.share_logits(maps[LOGITS], maps[ROWS].flatten(1), self.clusters(maps))

    def find_regions(self, scene: Scene, canvases: Mapping[str, Canvas]) -> Tensor | None:
        """Region ids (H, W) on the original image; None when every patch is noise, or without clustering."""
        if self.cluster == "none":
            return None
        grid = self.backbone.grid(scene.image)
        maps = {name: canvas.on_grid(grid) for name, canvas in canvases.items() if name != LOGITS}
        clusters = self.clusters(maps)
        return None if int(clusters.max()) == clustering.NOISE else self.draw_regions(clusters, maps[ROWS], scene)

    def draw_regions(self, clusters: Tensor, rows: Tensor, scene: Scene) -> Tensor:
        """Region ids (H, W) on the original image, from its patches' clusters (N,) and rows (N, h, w) of B."""
        means = clustering.prototypes(rows.flatten(1), clusters).unflatten(1, rows.shape[1:])  # (K, h, w)
        return clustering.region_map(means, scene.size, UPSAMPLING, MEDIAN)
