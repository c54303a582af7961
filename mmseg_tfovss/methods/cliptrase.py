"""CLIPtrase: recover and cluster the patches' correlation; clusters vote. Shao et al., ECCV 2024, arXiv:2407.08268.

Official code: leaves162/CLIPtrase @ 2b7de61, clip_self_correlation.py (the published numbers).

Recovery (SCR), block 12 of 12, per head on x (1 + N tokens):
    x <- x + out_proj((softmax(qq'/sqrt d) + softmax(kk'/sqrt d) + softmax(vv'/sqrt d)) v);  x <- x + FFN(x)
Correlation, from q, k, v of block 11:      w_ij = mean over heads of (cos(q_i,q_j) + cos(k_i,k_j) + cos(v_i,v_j)) / 3
Denoising (D), r = the class token's row:   B_ij = max(w_ij - r_j, 0)
Clustering (PC):                            c = DBSCAN(rows of B; eps, min_samples),   p_k = mean of B_i over c_i = k
Regions, at full size:                      m(x) = argmax_k p_k(x), p_k upsampled x 4, median-filtered, upsampled
Voting:                                     every region takes the class that most of its pixels have

Options, default first (Tables 2, 4 and supplement A.2 are made of them): recovery three_softmax | averaged (w of Eq. 3
as attention, see [open]) | self | none; recovery_layer 12 (9-11); similarity cosine | inner; per_head True (Eq. 11) |
False (Eq. 14); denoising cls_subtraction (code) | self_weight (Eq. 7) | none; normalise_rows False | True (Eq. 4);
cluster rows | features | none; voting majority (code) | mean_logits (its detectron2 port, and windows).

mask_network gives w in place of CLIP's block 11 (DINOv2: Table 5; [open] which size: base; on CLIP's grid of patches).

[open] Eq. 3 does not say how w becomes attention weights: softmax(sqrt(d) w), on which scale cosines spread like q k'.
Deviations: background is class 0, not C, so a tied vote prefers it. Exported logits carry the official factor 100. The
official code skips images of PC459 and ADEfull that hold nothing but label 255, by mistake; not done here.
"""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_tfovss.encoders.clip import CLIPBlock, Grid
from mmseg_tfovss.encoders.preprocessor import EXACT_MEAN, EXACT_STD
from mmseg_tfovss.methods.base import OpenVocabSegmentor, check_choice
from mmseg_tfovss.ops.attention import self_correlation
from mmseg_tfovss.ops.clustering import NOISE, cluster_rows, majority, prototypes, region_logits, region_map
from mmseg_tfovss.ops.correlation import DENOISINGS, SIMILARITIES, denoise, semantic_correlation
from mmseg_tfovss.ops.windows import DenseLogits
from mmseg_tfovss.registry import MODELS

UPSAMPLING, MEDIAN = 4, 7
_PREPROCESSOR = {"type": "CLIPPreprocessor", "mean": EXACT_MEAN, "std": EXACT_STD}
RECOVERIES = ("three_softmax", "averaged", "self", "none")
CLUSTERED = ("rows", "features", "none")
VOTINGS = ("majority", "mean_logits")


@MODELS.register_module()
class CLIPtrase(OpenVocabSegmentor):
    """Recovered correlation, clustered patches, one class per cluster.

    Args:
        eps: DBSCAN's radius, > 0 (the authors': 0.7 for 224 pixels, 1.1 for 336).
        min_samples: DBSCAN's smallest neighbourhood, >= 1 (3 for 224 pixels, 7 for 336).
        recovery: attention of the recovery block; see the top of this file for this and the other choices.
        recovery_layer: number of the recovery block, from 1; ``None``: the last.
        correlation_layer: number of the block whose projections are compared; ``None``: the last but one.
        similarity: of projections, for the correlation.
        per_head: compare head by head.
        denoising: how the influence of global patches is taken out.
        normalise_rows: scale the clustered vectors to length 1.
        cluster: what is clustered; ``none`` leaves the pixels' own labels.
        voting: how a region finds its class. Whole images are clustered as one, sliding windows each by itself,
            where only ``mean_logits`` can be, because windows overlap. ``None``: the first that the mode allows.
        mask_network: config of a network whose tokens' cosines take the place of w, e.g. ``dict(type='DINOv2Encoder')``
            (Table 5); ``None``: CLIP's own.
        cls_weighting: multiply a class's logits by that of the class token (the official code, on VOC20 only).
        **kwargs: see :class:`OpenVocabSegmentor`.

    Raises:
        ValueError: a setting out of range, or settings that exclude each other.
    """

    logit_factor = 100.0  # exp(logit_scale) of OpenAI's models
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
        voting: str | None = None,
        mask_network: dict[str, Any] | None = None,
        cls_weighting: bool = False,
        **kwargs: object,
    ) -> None:
        super().__init__(**{"data_preprocessor": _PREPROCESSOR, **kwargs})  # type: ignore[arg-type]
        check_choice("recovery", recovery, RECOVERIES)
        check_choice("similarity", similarity, SIMILARITIES)
        check_choice("denoising", denoising, DENOISINGS)
        check_choice("cluster", cluster, CLUSTERED)
        voting = voting or VOTINGS[self.mode != "whole"]
        check_choice("voting", voting, VOTINGS)
        if voting == "majority" and self.mode != "whole":
            raise ValueError(
                "model.voting='majority' needs model.test_cfg.mode='whole': overlapping windows cannot vote."
            )
        if voting == "mean_logits" and self.mode == "whole" and (self.pamr_steps or self.decode_head.area_threshold):
            raise ValueError("model.voting='mean_logits' on whole images takes neither PAMR nor an area_threshold.")
        numbers = isinstance(eps, int | float) and isinstance(min_samples, int)
        if not numbers or not eps > 0 or min_samples < 1:
            raise ValueError(
                "model.eps must be a positive number and model.min_samples an integer from 1 on, but got"
                f" {eps!r} and {min_samples!r}."
            )
        layers = len(self.backbone.blocks)
        self.recovery_layer = _layer("recovery_layer", recovery_layer, layers, layers)
        self.correlation_layer = _layer("correlation_layer", correlation_layer, layers - 1, layers)
        self.recovery, self.similarity, self.per_head, self.denoising = recovery, similarity, per_head, denoising
        self.eps, self.min_samples, self.normalise_rows = eps, min_samples, normalise_rows
        self.cluster, self.voting, self.cls_weighting = cluster, voting, cls_weighting
        with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
            self.mask_network = MODELS.build(mask_network) if mask_network else None

    # -- network ----------------------------------------------------------------------------------------------------

    def encode(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) -> tokens in text space (B, 1 + N, D), and their correlation w (B, 1 + N, 1 + N)."""
        backbone, grid = self.backbone, self.backbone.grid(inputs)
        tokens = backbone.embed(inputs)
        correlation = tokens
        for number, block in enumerate(backbone.blocks, start=1):
            compared = number == self.correlation_layer and not self.mask_network
            projections = block.qkv(tokens) if compared else None
            correlation = self.correlate(projections) if projections else correlation
            recovers = number == self.recovery_layer
            tokens = self.recover(block, tokens) if recovers else block(tokens, projections)
            if number < len(backbone.blocks):
                tokens = backbone.after_block(number, tokens, grid)
        if self.mask_network:
            images = inputs * self.data_preprocessor.std + self.data_preprocessor.mean
            correlation = self.correlate((self.mask_network(images, grid)[:, None],))  # one "head", one projection
        return F.normalize(backbone.project(tokens), dim=-1), correlation

    def correlate(self, projections: tuple[Tensor, ...]) -> Tensor:
        """Correlation w (B, 1 + N, 1 + N) of query, key and value, each (B, heads, 1 + N, d)."""
        return semantic_correlation(projections, self.similarity, per_head=self.per_head)

    def recover(self, block: CLIPBlock, tokens: Tensor) -> Tensor:
        """The block with its attention replaced; residual and feed-forward stay."""
        if self.recovery == "none":
            return block(tokens)
        query, key, value = block.qkv(tokens)  # each (B, heads, 1 + N, d)
        if self.recovery == "three_softmax":
            heads = self_correlation(query, value) + self_correlation(key, value) + self_correlation(value, value)
        elif self.recovery == "averaged":
            w = self.correlate((query, key, value))  # (B, 1 + N, 1 + N)
            scale = value.shape[-1] ** 0.5 if self.similarity == "cosine" else 1.0
            heads = (scale * w).softmax(dim=-1)[:, None].to(value.dtype) @ value
        else:
            heads = value  # every token attends to itself
        tokens = tokens + block.merge_heads(heads)
        return tokens + block.feed_forward(tokens)

    def logits(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Cosine logits (B, Q, h, w) of tokens in text space (B, 1 + N, D)."""
        return self.decode_head(tokens[:, 1:].transpose(1, 2).unflatten(2, grid))

    def patch_logits(self, inputs: Tensor) -> Tensor:
        """The paper's L = 100 cos on the patch grid, (B, Q, h, w), not weighted by the class token's."""
        return self.logit_factor * self.logits(self.encode(inputs)[0], self.backbone.grid(inputs))

    def window_maps(self, inputs: Tensor) -> Tensor:
        """Cosine logits, and behind them, as maps: the N rows of B, which patches are local, and the features."""
        grid = self.backbone.grid(inputs)
        tokens, correlation = self.encode(inputs)
        rows, local = denoise(correlation, self.denoising)
        logits = self.logits(tokens, grid)
        if self.cls_weighting:
            logits = logits * (self.logit_factor * tokens[:, 0] @ self.decode_head.text_features.T)[..., None, None]
        maps = [logits, rows.unflatten(2, grid), local[:, None].unflatten(2, grid).to(rows.dtype)]
        if self.cluster == "features":
            maps.append(tokens[:, 1:].transpose(1, 2).unflatten(2, grid))
        stacked = torch.cat(maps, dim=1)  # (B, Q + N + 1 (+ D), h, w)
        return stacked if self.mode == "whole" else torch.stack([self.vote_in_window(window) for window in stacked])

    # -- regions ----------------------------------------------------------------------------------------------------

    def clusters(self, maps: Tensor) -> Tensor:
        """Cluster ids (N,) of the patches, -1 for noise, from the maps behind the logits (N + 1 (+ D), h, w)."""
        count = maps[0].numel()
        local = maps[count].flatten() > 0
        vectors = maps[count + 1 :].flatten(1).T if self.cluster == "features" else maps[:count].flatten(1)
        if self.normalise_rows:
            vectors = F.normalize(vectors, dim=1)
        found = torch.full((count,), NOISE, dtype=torch.int64, device=maps.device)
        ids = cluster_rows(vectors[local].float().cpu().numpy(), self.eps, self.min_samples)
        found[local] = torch.from_numpy(ids).to(found)
        return found

    def vote_in_window(self, maps: Tensor) -> Tensor:
        """Logits (Q, h, w) in which every patch has the mean logits of its region."""
        queries = self.decode_head.out_channels
        logits, maps = maps[:queries], maps[queries:]
        clusters = self.clusters(maps) if self.cluster != "none" else maps.new_full((1,), NOISE)
        if int(clusters.max()) < 0:
            return logits
        winners = prototypes(maps[: clusters.numel()].flatten(1), clusters).argmax(dim=0)  # (N,)
        _, regions = torch.unique(winners, return_inverse=True)  # a prototype may win nowhere
        return prototypes(logits.flatten(1).T, regions)[regions].T.reshape(logits.shape)

    def find_regions(self, logits: DenseLogits) -> Tensor | None:
        """Region ids (H, W) on the original image; None when every patch is noise."""
        maps = logits.patches[self.decode_head.out_channels :]
        clusters = self.clusters(maps)
        if int(clusters.max()) < 0:
            return None
        means = prototypes(maps[: clusters.numel()].flatten(1), clusters).unflatten(1, maps.shape[-2:])  # (K, h, w)
        return region_map(means, logits.size, UPSAMPLING, MEDIAN)

    @torch.inference_mode()
    def label(self, logits: DenseLogits) -> Tensor:
        """Class ids (H, W): the pixels' own, then one for each region."""
        scores = self._scores(logits)
        if self.mode != "whole" or self.cluster == "none":
            return super().label(scores)
        regions = self.find_regions(logits)
        if regions is None:
            return super().label(scores)
        if self.voting == "majority":
            return majority(super().label(scores), regions, self.decode_head.num_classes)
        means = region_logits(scores, regions)  # (Q, K)
        one_pixel_each = DenseLogits(
            means[..., None], torch.eye(means.shape[1]).to(means), means.new_ones(1, 1), logits.image
        )
        return self.decode_head.label(one_pixel_each)[:, 0][regions]

    def dense_logits(self, logits: DenseLogits) -> Tensor:
        """The paper's L = 100 cos (Q, H, W) at the original size, before voting."""
        return self.logit_factor * super().dense_logits(self._scores(logits))

    def _scores(self, logits: DenseLogits) -> DenseLogits:
        return replace(logits, patches=logits.patches[: self.decode_head.out_channels])

    # -- MMSeg's life cycle -----------------------------------------------------------------------------------------

    @torch.inference_mode()
    def predict(
        self, inputs: Tensor | Sequence[Tensor], data_samples: Sequence[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Label images, see :meth:`OpenVocabSegmentor.predict`.

        At most ``window_batch`` images at a time go through the network; while it works on the next ones, threads
        cluster and label the last ones, for DBSCAN runs on the CPU.
        """
        if data_samples is None:
            data_samples = [SegDataSample(metainfo={"ori_shape": image.shape[-2:]}) for image in inputs]
        labels: list[Future[Tensor]] = []
        with ThreadPoolExecutor(min(max(1, len(data_samples)), os.cpu_count() or 1)) as pool:
            for start in range(0, len(data_samples), self.window_batch):
                part = slice(start, start + self.window_batch)
                metas = [sample.metainfo for sample in data_samples[part]]
                labels += [pool.submit(self.label, logits) for logits in self.inference(inputs[part], metas)]
        for sample, future in zip(data_samples, labels, strict=True):
            sample.set_data({"pred_sem_seg": PixelData(data=future.result()[None])})
        return list(data_samples)


def _layer(name: str, number: int | None, default: int, layers: int) -> int:
    number = default if number is None else number
    if not 1 <= number <= layers:
        raise ValueError(f"model.{name} must be a block number from 1 to {layers}, but got {number!r}.")
    return number
