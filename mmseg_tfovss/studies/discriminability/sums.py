"""What one image adds to the discriminability of layers and heads, and the means over all images.

The formulas are in :mod:`mmseg_tfovss.studies.discriminability.study`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.encoders.clip import CLIPBlock, CLIPImageEncoder
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.studies.discriminability.abnormal_tokens import Sums, sum_hoyer, sum_similarity, summarise_similarity
from mmseg_tfovss.studies.discriminability.patch_pairs import IGNORED, find_pairs, pair_auc

TAU = 0.5


@dataclass(frozen=True)
class Options:
    """What to look at.

    Attributes:
        split: of the dataset; see :func:`mmseg_tfovss.studies.discriminability.dataset_split.take_split`.
        max_images: look at this many images, drawn at random; ``None``: all.
        sample_pairs: look at this many pairs of patches per image, drawn at random; ``None``: all.
        seed: of both draws.
        tau: Hoyer score above which a token is abnormal.
        include_last: take the last block as well.
    """

    split: str = "val"
    max_images: int | None = None
    sample_pairs: int | None = None
    seed: int = 0
    tau: float = TAU
    include_last: bool = False

    def __post_init__(self) -> None:
        for name in ("max_images", "sample_pairs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1, but got {value}.")
        if self.seed < 0 or not 0 <= self.tau <= 1:
            raise ValueError(f"--seed must not be negative, and --tau in [0, 1]; got {self.seed} and {self.tau}.")


@torch.inference_mode()
def measure_image(model: OpenVocabSegmentor, image: Tensor, truth: Tensor, options: Options, number: int = 0) -> Sums:
    """What one image adds to the sums.

    Args:
        model: unmodified CLIP, its text features set.
        image: normalised, (3, H, W).
        truth: class of each patch, (h w,).
        options: of the analysis.
        number: of the image, for the draw of pairs.
    """
    backbone = model.backbone
    blocks = len(backbone.blocks) - (not options.include_last)
    pairs = find_pairs(truth, options.sample_pairs, (options.seed, number))
    layers, head_aucs, correct = [], [], []
    for patches, added in run_blocks(backbone, image[None], blocks):
        layers.append(patches)
        correct.append(count_correct(model, patches, truth))
        head_aucs.append(pair_auc(added, pairs) if pairs.usable else torch.zeros(len(added)))
    tokens = torch.stack(layers).float()  # (K, N, C)
    layer_aucs = pair_auc(tokens, pairs) if pairs.usable else torch.zeros(blocks)
    known = truth[truth != IGNORED]
    sums = {
        "images": torch.tensor(1),
        "images_with_pairs": torch.tensor(int(pairs.usable)),
        "layer_auc": layer_aucs,
        "head_auc": torch.stack(head_aucs),
        "correct": torch.stack(correct),
        "labelled": known.bincount(minlength=model.decode_head.num_classes),
        **sum_hoyer(tokens, backbone.grid(image[None]), options.tau),
        **sum_similarity(tokens[: len(backbone.blocks) - 1], options.tau),
    }
    return {name: value.to("cpu", torch.float64) for name, value in sums.items()}


def run_blocks(backbone: CLIPImageEncoder, image: Tensor, blocks: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Run the network as trained, without any hook.

    Args:
        backbone: the network.
        image: (1, 3, H, W).
        blocks: how many to run.

    Yields:
        Per block, the patches behind it (N, C), and what each of its heads added to them (heads, N, C).
    """
    tokens = backbone.embed(image)
    for block in islice(backbone.blocks, blocks):
        assert isinstance(block, CLIPBlock)
        outputs = block.head_outputs(*block.qkv(tokens))  # (1, heads, 1 + N, C / heads)
        tokens = tokens + block.merge_heads(outputs)
        tokens = tokens + block.feed_forward(tokens)
        added = [block.head_contribution(outputs[:, head, 1:], head) for head in range(block.heads)]
        yield tokens[0, 1:], torch.cat(added)


def count_correct(model: OpenVocabSegmentor, patches: Tensor, truth: Tensor) -> Tensor:
    """Patches (N, C) whose text is the closest, per class: (classes,)."""
    last = model.backbone.blocks[-1]
    value = last.qkv(patches[None])[2]
    aligned = F.normalize(model.backbone.project(last.merge_heads(value))[0], dim=-1)  # (N, D)
    head = model.decode_head
    found = head.query_class[(aligned @ head.text_features.to(aligned.dtype).T).argmax(dim=1)]
    return truth[found == truth].bincount(minlength=head.num_classes)


def summarise(sums: Mapping[str, Tensor]) -> dict[str, Any]:
    """Means of all images' sums."""
    pairs, tokens = sums["images_with_pairs"], sums["tokens"]
    labelled = sums["labelled"]
    accuracy = sums["correct"][:, labelled > 0] / labelled[labelled > 0]
    columns = {
        "VD": sums["layer_auc"] / pairs,
        "SA": sums["correct"].sum(dim=1) / labelled.sum(),
        "mean_class_SA": accuracy.mean(dim=1),
        "hoyer": sums["hoyer"] / tokens,
        "abnormal_share": sums["hoyer_above"] / tokens,
    }
    layers = [
        {"block": block + 1, **{n: float(c[block]) for n, c in columns.items()}} for block in range(len(accuracy))
    ]
    return {
        "images": int(sums["images"]),
        "images_without_pairs": int(sums["images"] - pairs),
        "labelled_patches": int(labelled.sum()),
        "layers": layers,
        "head_VD": (sums["head_auc"] / pairs).tolist(),
        "hoyer_maps": (sums["hoyer_map"] / sums["images"]).tolist(),
        "hoyer_histogram": (sums["hoyer_histogram"] / tokens).tolist(),
        "similarity": summarise_similarity(sums),
    }
