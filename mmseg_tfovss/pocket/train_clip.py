"""Train the pocket CLIP: contrastively, on images and captions of the pocket generator alone.

``python -m mmseg_tfovss.pocket.train_clip --out F`` writes F (float16, keys in OpenAI's
layout) and, beside it, a .json of how it was made. There are three kinds of stages:

1. whole: scenes of 64 x 64 with their captions, as CLIP is trained (`train`);
2. parts: crops of larger scenes at 128 x 128. In a part of the steps an image is divided at a random cross, the class
   token reads one of its four parts at a time in the last block, and the caption names what this part shows. So
   patches learn to say what is near them, also in a large image (`train_parts`);
3. last block: the blocks before it stay as they are, and it learns to read crops of several sizes (`train_last_block`).

They are run in the order 1, 3, 2, 3. In stages 2 and 3 the last block's residual connection and feed-forward are left
out of a part of the steps. Before the first stage 2 or 3 its queries and keys grow by a factor (`sharpen_last_block`),
because the self-attention that the methods put there was nearly flat. No real CLIP is trained in these ways. They are
here because a network this small, trained for minutes, shows without them little of what the methods do on real ones.

No mask is ever a target, and captions name classes only. But the generator's labels say which classes a crop, or a part
of one, shows: so stages 2 and 3 tell the network what is in rectangles, which is more than captions of whole images do.
The same seed gives the same scenes, captions and batches everywhere; the weights may differ in their last bits, and
after that by more, between machines, devices and thread counts.

One call runs all stages; the weights are rounded to float16 between them, so that ``--stages 1``, then ``--stages 3 2 3
--start-from`` its file, are the same training in two calls. The record then has the first call's record in it.
"""

import argparse
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from mmseg_tfovss.ops.positional import interpolate_positions
from mmseg_tfovss.pocket.classes import CLASSES, THINGS
from mmseg_tfovss.pocket.scenes import Dice, Scene, draw_scene

IMAGE_SIZE = 64
RADII = (9, 27)
CAPTION_TOKENS = 32
CAPTIONS_PER_SCENE = 4
TRAINING_SCENES = 40_000
HELD_OUT_SCENES = 256
BATCH_SIZE = 128
STAGES = (1, 3, 2, 3)
STEPS = (1_800, 800, 270, 500)
# One caption in four names one class alone: at test time every query is such a prompt, and a text
# tower that has only read whole scenes has never seen one.
SINGLE_NOUN_ONE_IN = 4
PEAK_RATE = 1e-3
# Half of the patches are left out in the first part of training, and five random blocks between
# the first and the last for longer. Both save time. The last block is always there, which is meant
# to make it the one where the class token reads the patches; whether it does was not measured.
PATCH_DROPOUT = 0.5
PATCH_DROPOUT_UNTIL = 0.5
BLOCKS_LEFT_OUT = 5
BLOCKS_LEFT_OUT_UNTIL = 0.75
# Stages 2 and 3 cut crops of 64 to 128 training pixels out of larger scenes. At short side 192 a training pixel of the
# validation split is 1.5 pixels, on crops of 128 x 128 it is 1 to 2.
CANVASES = 4_000
CANVAS_SIZE = 256
CANVAS_UNIT = 2
CANVAS_THINGS = (1, 6)
CROP_TOKENS = 56  # a crop can show more than a training scene
SEEN_PART = 0.01  # of its pixels, that a class must have to be named
PARTS_SIZE = 128
PARTS_BATCH = 24
PARTS_RATE = 3e-4
PARTS_WHOLE_UNTIL = 0.85
# In tenths of the steps: those that read parts, and those of the others without residual and feed-forward.
PARTS_TENTHS = 6
BARE_TENTHS = 6
# Side of the crops as the network sees them: their number, their sides on the canvas, images of a batch, tenths of the
# steps. The smallest, of the size of stage 1, are always read whole.
LAST_BLOCK_CROPS = {64: (2_400, (64, 128), 96, 3), 128: (1_600, (128, 256), 48, 3), 192: (640, (192, 256), 32, 4)}
LAST_BLOCK_RATE = 5e-4
LAST_BLOCK_BARE_TENTHS = 5
LAST_BLOCK_DROPOUT = 0.5
SHARPENING = 2.0
# Nouns a caption may use; the first is the class name.
NOUNS: dict[str, tuple[str, ...]] = {name: (name,) for name in CLASSES} | {
    "gift": ("gift", "present"),
    "tree": ("tree", "pine"),
}
_LAST_BLOCK = ("visual.transformer.resblocks.11", "visual.ln_post", "visual.proj")
_SHARPENED = (f"{_LAST_BLOCK[0]}.attn.in_proj_weight",)  # not decayed after that
_FRAMES = (
    "a photo of {things} on {stuff}.",
    "{things} on {stuff}",
    "{stuff} with {things}",
    "a picture of {things} and {stuff}.",
)


@dataclass(frozen=True)
class Corpus:
    """Training pairs, in memory.

    Attributes:
        images: uint8 (N, 3, S, S).
        captions: tokens (N, CAPTIONS_PER_SCENE, CAPTION_TOKENS), int32.
    """

    images: Tensor
    captions: Tensor


def with_article(noun: str) -> str:
    """Put "a" or "an" before a noun."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _noun(label: int, dice: Dice) -> str:
    nouns = NOUNS[CLASSES[label]]
    return nouns[dice.below(len(nouns))]


def _shuffled(labels: Sequence[int], dice: Dice) -> list[str]:
    return [_noun(labels[k], dice) for k in dice.pick(len(labels), len(labels))]


def compose_caption(scene: Scene, dice: Dice) -> str:
    """Name one thing or stuff of a scene in one of the 80 ImageNet prompts, or, more often, all that it shows."""
    if dice.below(SINGLE_NOUN_ONE_IN):
        return compose_full_caption(scene, dice)
    templates = open_clip.OPENAI_IMAGENET_TEMPLATES
    shown = (*scene.things, *scene.stuff)
    return templates[dice.below(len(templates))](_noun(shown[dice.below(len(shown))], dice))


def compose_full_caption(scene: Scene, dice: Dice) -> str:
    """Name all that a scene shows, in one of four frames or of the 80 ImageNet prompts."""
    templates = open_clip.OPENAI_IMAGENET_TEMPLATES
    stuff = " and ".join(_shuffled(scene.stuff, dice))
    things = _shuffled(scene.things, dice)
    if not things:
        return templates[dice.below(len(templates))](stuff)
    if not stuff:
        return templates[dice.below(len(templates))](" and ".join([things[0], *map(with_article, things[1:])]))
    if dice.below(2):
        # The prompt brings the first article.
        phrase = " and ".join([things[0], *map(with_article, things[1:])])
        return templates[dice.below(len(templates))](f"{phrase} on {stuff}")
    listed = " and ".join(map(with_article, things))
    return _FRAMES[dice.below(len(_FRAMES))].format(things=listed, stuff=stuff)


def draw_training_scene(dice: Dice) -> Scene:
    """Draw a scene of 64 x 64 with one to three things; again if none, or no ground, is seen."""
    while True:
        scene = draw_scene(dice, IMAGE_SIZE, 1, dice.between(1, 3), RADII)
        if scene.things and scene.stuff:
            return scene


def build_corpus(
    count: int, seed: int, progress: Progress, compose: Callable[[Scene, Dice], str] = compose_caption
) -> Corpus:
    """Draw `count` scenes with their captions, written by `compose`; the same for the same seed."""
    images = np.empty((count, 3, IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
    sentences = []
    for index in progress.track(range(count), description="drawing scenes"):
        dice = Dice(seed, index)
        scene = draw_training_scene(dice)
        images[index] = scene.image.transpose(2, 0, 1)
        sentences += [compose(scene, dice) for _ in range(CAPTIONS_PER_SCENE)]
    tokens = open_clip.tokenize(sentences, CAPTION_TOKENS).to(torch.int32)
    return Corpus(torch.from_numpy(images), tokens.reshape(count, CAPTIONS_PER_SCENE, -1))


@dataclass(frozen=True)
class Canvases:
    """Larger scenes, from which crops are cut.

    Attributes:
        images: uint8 (N, 3, S, S).
        labels: indices into `CLASSES` (N, S, S), uint8; they only tell which classes a caption may name.
    """

    images: Tensor
    labels: NDArray[np.uint8]


def draw_canvases(count: int, seed: int, progress: Progress) -> Canvases:
    """Draw `count` scenes of 256 x 256 with one to six things; none is a scene of stage 1 or of the training split."""
    images = np.empty((count, 3, CANVAS_SIZE, CANVAS_SIZE), dtype=np.uint8)
    labels = np.empty((count, CANVAS_SIZE, CANVAS_SIZE), dtype=np.uint8)
    for index in progress.track(range(count), description="drawing larger scenes"):
        dice = Dice(seed, 1, index)
        scene = draw_scene(dice, CANVAS_SIZE, CANVAS_UNIT, dice.between(*CANVAS_THINGS), RADII)
        images[index], labels[index] = scene.image.transpose(2, 0, 1), scene.labels
    return Canvases(torch.from_numpy(images), labels)


def cut_crop(canvases: Canvases, sides: tuple[int, int], size: int, dice: Dice) -> tuple[Tensor, NDArray[np.uint8]]:
    """Cut a random square out of a random canvas, and mirror every second one.

    Args:
        canvases: to choose from.
        sides: smallest and largest side of the square.
        size: side to which its image is resized.
        dice: source of every choice.

    Returns:
        image (3, size, size), float32 in 0..255, and labels (side, side) that are not resized.
    """
    index, side = dice.below(len(canvases.images)), dice.between(*sides)
    top, left = dice.below(CANVAS_SIZE - side + 1), dice.below(CANVAS_SIZE - side + 1)
    place = (slice(top, top + side), slice(left, left + side))
    pixels = canvases.images[index][:, *place].float()
    image = F.interpolate(pixels[None], size=(size, size), mode="bilinear", align_corners=False)[0]
    labels = canvases.labels[index][place]
    return (image.flip(2), labels[:, ::-1]) if dice.below(2) else (image, labels)


def list_shown(labels: NDArray[np.uint8]) -> Scene:
    """Say which classes an area shows: a scene without image."""
    area = np.bincount(labels.ravel(), minlength=len(CLASSES))
    seen = [label for label in range(len(CLASSES)) if area[label] >= SEEN_PART * labels.size]
    things, stuff = (tuple(k for k in seen if (k < len(THINGS)) == wanted) for wanted in (True, False))
    return Scene(image=labels[..., None], labels=labels, things=things, stuff=stuff)


def divide(labels: NDArray[np.uint8], cross: tuple[int, int], grid: int) -> list[NDArray[np.uint8]]:
    """Divide the labels of a crop of `grid` x `grid` patches at a row and a column of patches: its four parts."""
    row, column = (place * len(labels) // grid for place in cross)
    return [
        labels[rows, columns]
        for rows in (slice(row), slice(row, None))
        for columns in (slice(column), slice(column, None))
    ]


def build_model(image_size: int = IMAGE_SIZE) -> CLIP:
    """Build the untrained network: ViT of 12 blocks, width 128, patch 8, and a small text tower."""
    vision = CLIPVisionCfg(
        layers=12,
        width=128,
        head_width=64,
        patch_size=8,
        image_size=image_size,
        patch_dropout=PATCH_DROPOUT,
    )
    text = CLIPTextCfg(context_length=77, vocab_size=49408, width=64, heads=1, layers=2)
    return CLIP(embed_dim=64, vision_cfg=vision, text_cfg=text, quick_gelu=True)


def encode_captions(model: CLIP, tokens: Tensor) -> Tensor:
    """Encode captions (B, L) to (B, D); L may be shorter than the model's context.

    The mask is causal, so what follows the end token, the largest id, does not matter.
    """
    length = tokens.shape[1]
    hidden = model.token_embedding(tokens) + model.positional_embedding[:length]
    hidden = model.transformer(hidden, attn_mask=model.attn_mask[:length, :length])
    last = hidden[torch.arange(len(tokens), device=tokens.device), tokens.argmax(dim=1)]
    return model.ln_final(last) @ model.text_projection


def normalise_pixels(images: Tensor) -> Tensor:
    """Map uint8 RGB (B, 3, S, S) to what CLIP reads."""
    mean = torch.tensor(open_clip.OPENAI_DATASET_MEAN, device=images.device)
    std = torch.tensor(open_clip.OPENAI_DATASET_STD, device=images.device)
    return (images.float() / 255 - mean[:, None, None]) / std[:, None, None]


def compute_similarity(model: CLIP, images: Tensor, tokens: Tensor) -> Tensor:
    """Scaled cosine of every image (B, 3, S, S) with every caption (B, L): (B, B), float32."""
    with torch.autocast(images.device.type, torch.bfloat16):
        image = model.encode_image(normalise_pixels(images))
        text = encode_captions(model, tokens)
    image, text = F.normalize(image.float(), dim=-1), F.normalize(text.float(), dim=-1)
    return model.logit_scale.exp().clamp(max=100) * image @ text.T


def contrastive_loss(similarity: Tensor) -> Tensor:
    """CLIP's loss: pick the caption of each image and the image of each caption."""
    target = torch.arange(len(similarity), device=similarity.device)
    rows, columns = F.cross_entropy(similarity, target), F.cross_entropy(similarity.T, target)
    return (rows + columns) / 2


def build_optimizer(
    model: CLIP,
    rate: float = PEAK_RATE,
    trained: Callable[[str], bool] | None = None,
    undecayed: Sequence[str] = (),
) -> torch.optim.Optimizer:
    """AdamW, without weight decay on vectors, scalars and the class and position embeddings.

    Args:
        model: the network.
        rate: peak learning rate.
        trained: whether a parameter is trained, by its name; ``None``: all are.
        undecayed: further parameters without weight decay, by name.
    """
    plain = {"visual.positional_embedding", "positional_embedding", *undecayed}
    named = [(name, weight) for name, weight in model.named_parameters() if trained is None or trained(name)]
    decayed = [weight for name, weight in named if weight.ndim > 1 and name not in plain]
    free = [weight for name, weight in named if weight.ndim < 2 or name in plain]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), eps=1e-6)


def draw_batch(corpus: Corpus, choose: torch.Generator, device: torch.device) -> list[Tensor]:
    """Draw a batch of images, half of them mirrored, each with one of its captions."""
    index = torch.randint(len(corpus.images), (BATCH_SIZE,), generator=choose)
    mirror = torch.rand(BATCH_SIZE, generator=choose) < 0.5
    which = torch.randint(CAPTIONS_PER_SCENE, (BATCH_SIZE,), generator=choose)
    images = corpus.images[index]
    images = torch.where(mirror[:, None, None, None], images.flip(3), images)
    return [images.to(device), corpus.captions[index, which].long().to(device)]


def choose_blocks(count: int, left_out: int, choose: torch.Generator) -> list[int]:
    """Draw which of `count` blocks take part, in order; the first and the last always do."""
    inner = torch.randperm(count - 2, generator=choose)[left_out:] + 1
    return [0, *sorted(inner.tolist()), count - 1]


def train(model: CLIP, corpus: Corpus, steps: int, seed: int, device: torch.device, progress: Progress) -> None:
    """Train in place: one cycle of AdamW, with less left out of the image tower by and by."""
    optimizer = build_optimizer(model)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=PEAK_RATE, total_steps=steps, pct_start=0.1, final_div_factor=100
    )
    choose = torch.Generator().manual_seed(seed)
    blocks = list(model.visual.transformer.resblocks)
    task = progress.add_task("training", total=steps)
    model.train()
    for step in range(steps):
        model.visual.patch_dropout.prob = PATCH_DROPOUT * (step < steps * PATCH_DROPOUT_UNTIL)
        left_out = BLOCKS_LEFT_OUT * (step < steps * BLOCKS_LEFT_OUT_UNTIL)
        taking_part = [blocks[k] for k in choose_blocks(len(blocks), left_out, choose)]
        model.visual.transformer.resblocks = nn.ModuleList(taking_part)
        loss = contrastive_loss(compute_similarity(model, *draw_batch(corpus, choose, device)))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 25 == 0:
            progress.update(task, description=f"training, loss {loss.item():.3f}")
        progress.advance(task)
    model.visual.transformer.resblocks = nn.ModuleList(blocks)


def widen(model: CLIP) -> CLIP:
    """Build the network for images of stage 2 from one of stage 1: its position embeddings are interpolated."""
    weights = model.state_dict()
    trained = weights["visual.positional_embedding"]
    wide = PARTS_SIZE // 8
    wider = build_model(PARTS_SIZE).to(trained.device)
    wider.load_state_dict(
        weights | {"visual.positional_embedding": interpolate_positions(trained, (wide, wide), "exact")}
    )
    return wider


@torch.no_grad()
def sharpen_last_block(model: CLIP) -> None:
    """Multiply queries and keys of the last block, in place."""
    attention = model.visual.transformer.resblocks[-1].attn
    count = 2 * attention.embed_dim
    attention.in_proj_weight[:count] *= SHARPENING
    attention.in_proj_bias[:count] *= SHARPENING


def drop_patches(tokens: Tensor, share: float, choose: torch.Generator) -> tuple[Tensor, Tensor]:
    """Leave a share of the patches (B, 1 + N, C) out: what is left, and its places (B, M) of 0 .. N - 1."""
    count = tokens.shape[1] - 1
    order = torch.rand(len(tokens), count, generator=choose).argsort(dim=1)
    places = order[:, : max(1, round(count * (1 - share)))].to(tokens.device)
    kept = tokens[:, 1:].gather(1, places[..., None].expand(-1, -1, tokens.shape[2]))
    return torch.cat([tokens[:, :1], kept], dim=1), places


def find_parts(places: Tensor, crosses: Tensor, grid: int) -> Tensor:
    """Say which tokens the class token reads for each of the four parts of every image.

    Args:
        places: of the patches (B, M), numbered row by row.
        crosses: row and column (B, 2) at which each image is divided.
        grid: patches per side.

    Returns:
        bool (B, 4, 1 + M); the class token itself belongs to all parts.
    """
    low, right = places // grid >= crosses[:, :1], places % grid >= crosses[:, 1:]
    part = 2 * low.long() + right.long()
    read = part[:, None] == torch.arange(4, device=places.device)[:, None]
    return F.pad(read, (1, 0), value=True)


def read_last_block(model: CLIP, tokens: Tensor, parts: Tensor | None, *, bare: bool) -> Tensor:
    """Run the last block for the class token alone, and project it to the text space.

    Args:
        model: the network.
        tokens: input of the last block (B, 1 + M, C).
        parts: which tokens are read (B, P, 1 + M), bool; ``None``: all, once (P = 1).
        bare: leave out residual connection and feed-forward.

    Returns:
        (B P, D).
    """
    block = model.visual.transformer.resblocks[-1]
    width, heads = block.attn.embed_dim, block.attn.num_heads
    normal = block.ln_1(tokens)
    weight, bias = block.attn.in_proj_weight, block.attn.in_proj_bias
    query = F.linear(normal[:, :1], weight[:width], bias[:width])
    query = query.expand(-1, 1 if parts is None else parts.shape[1], -1)
    key, value = F.linear(normal, weight[width:], bias[width:]).chunk(2, dim=2)
    query, key, value = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    mask = None if parts is None else parts[:, None]
    read = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    output = block.attn.out_proj(read.transpose(1, 2).flatten(2))
    if not bare:
        output = tokens[:, :1] + output
        output = output + block.mlp(block.ln_2(output))
    return (model.visual.ln_post(output) @ model.visual.proj).flatten(0, 1)


def compare_with_captions(model: CLIP, image: Tensor, captions: Sequence[str]) -> Tensor:
    """Contrastive loss of image embeddings (B, D) and as many captions."""
    text = encode_captions(model, open_clip.tokenize(list(captions), CROP_TOKENS).to(image.device))
    image, text = F.normalize(image.float(), dim=-1), F.normalize(text.float(), dim=-1)
    return contrastive_loss(model.logit_scale.exp().clamp(max=100) * image @ text.T)


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_([weight for group in optimizer.param_groups for weight in group["params"]], 1.0)
    optimizer.step()


def _draw_reading(
    labels: Sequence[NDArray[np.uint8]], places: Tensor, grid: int, dice: Dice, *, by_parts: bool
) -> tuple[Tensor | None, list[str]]:
    """Draw crosses and captions of crops: which tokens are read (`find_parts`), and a caption for every reading."""
    margin = grid // 4
    crosses = [(dice.between(margin, grid - margin), dice.between(margin, grid - margin)) for _ in labels]
    if not by_parts:
        return None, [compose_caption(list_shown(area), dice) for area in labels]
    areas = [part for area, cross in zip(labels, crosses, strict=True) for part in divide(area, cross, grid)]
    captions = [compose_caption(list_shown(area), dice) for area in areas]
    return find_parts(places, torch.tensor(crosses, device=places.device), grid), captions


def train_parts(
    model: CLIP, canvases: Canvases, steps: int, seed: int, device: torch.device, progress: Progress
) -> None:
    """Stage 2, in place: crops of larger scenes, read whole or in four parts."""
    optimizer = build_optimizer(model, PARTS_RATE, undecayed=_SHARPENED)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=PARTS_RATE, total_steps=max(steps, 2), pct_start=0.1, final_div_factor=100
    )
    choose = torch.Generator().manual_seed(seed + 2)
    blocks, grid = list(model.visual.transformer.resblocks), PARTS_SIZE // 8
    task = progress.add_task("training parts", total=steps)
    model.train()
    model.visual.patch_dropout.prob = 0.0  # done here, where it is known which patches stay
    for step in range(steps):
        dice, late = Dice(seed, 2, step), step >= steps * PARTS_WHOLE_UNTIL
        by_parts = dice.below(10) < PARTS_TENTHS
        bare = by_parts or dice.below(10) < BARE_TENTHS
        crops = [cut_crop(canvases, (CANVAS_SIZE // 2, CANVAS_SIZE), PARTS_SIZE, dice) for _ in range(PARTS_BATCH)]
        images = torch.stack([image for image, _ in crops]).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            tokens = model.visual._embeds(normalise_pixels(images))
            tokens, places = drop_patches(tokens, 0.0 if late else PATCH_DROPOUT, choose)
            for k in choose_blocks(len(blocks), 0 if late else BLOCKS_LEFT_OUT, choose)[:-1]:
                tokens = blocks[k](tokens)
            parts, captions = _draw_reading([labels for _, labels in crops], places, grid, dice, by_parts=by_parts)
            loss = compare_with_captions(model, read_last_block(model, tokens, parts, bare=bare), captions)
        _step(optimizer, loss)
        schedule.step()
        if step % 25 == 0:
            progress.update(task, description=f"training parts, loss {loss.item():.3f}")
        progress.advance(task)


@dataclass(frozen=True)
class _Crops:
    """Inputs of the last block (N, 1 + M, C), bfloat16, and the labels of each of the N crops."""

    tokens: Tensor
    labels: list[NDArray[np.uint8]]


@torch.no_grad()
def _encode_crops(
    model: CLIP, canvases: Canvases, size: int, count: int, sides: tuple[int, int], dice: Dice, device: torch.device
) -> _Crops:
    """Run all blocks but the last on crops of one size, 32 at a time."""
    visual, chunks, labels = model.visual, [], []
    positions = interpolate_positions(visual.positional_embedding, (size // 8, size // 8), "exact")
    for start in range(0, count, 32):
        crops = [cut_crop(canvases, sides, size, dice) for _ in range(min(32, count - start))]
        labels += [area for _, area in crops]
        images = normalise_pixels(torch.stack([image for image, _ in crops]).to(device))
        with torch.autocast(device.type, torch.bfloat16):
            tokens = visual.conv1(images).flatten(2).transpose(1, 2)
            first = visual.class_embedding.to(tokens.dtype).expand(len(images), 1, -1)
            tokens = visual.ln_pre(torch.cat([first, tokens], dim=1) + positions)
            for block in list(visual.transformer.resblocks)[:-1]:
                tokens = block(tokens)
        chunks.append(tokens.to(torch.bfloat16))
    return _Crops(torch.cat(chunks), labels)


def _is_in_stage_3(name: str) -> bool:
    return not name.startswith("visual.") or name.startswith(_LAST_BLOCK)


def train_last_block(
    model: CLIP, canvases: Canvases, steps: int, seed: int, device: torch.device, progress: Progress
) -> None:
    """Stage 3, in place: the last block and the text tower, on crops that the other blocks have read once."""
    model.eval()
    task = progress.add_task("reading crops", total=len(LAST_BLOCK_CROPS))
    crops = {}
    for size, (count, sides, _, _) in LAST_BLOCK_CROPS.items():
        crops[size] = _encode_crops(model, canvases, size, count, sides, Dice(seed, 3, size), device)
        progress.advance(task)
    optimizer = build_optimizer(model, LAST_BLOCK_RATE, _is_in_stage_3, _SHARPENED)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=LAST_BLOCK_RATE, total_steps=max(steps, 2), pct_start=0.05, final_div_factor=100
    )
    choose = torch.Generator().manual_seed(seed + 3)
    sizes = [size for size, (*_, tenths) in LAST_BLOCK_CROPS.items() for _ in range(tenths)]
    task = progress.add_task("training the last block", total=steps)
    model.train()
    for step in range(steps):
        dice = Dice(seed, 4, step)
        size = sizes[dice.below(len(sizes))]
        source = crops[size]
        index = [dice.below(len(source.labels)) for _ in range(LAST_BLOCK_CROPS[size][2])]
        by_parts = size > IMAGE_SIZE and dice.below(10) < PARTS_TENTHS
        bare = by_parts or dice.below(10) < LAST_BLOCK_BARE_TENTHS
        tokens, places = drop_patches(source.tokens[index].float(), LAST_BLOCK_DROPOUT, choose)
        labels = [source.labels[k] for k in index]
        parts, captions = _draw_reading(labels, places, size // 8, dice, by_parts=by_parts)
        image = read_last_block(model, tokens, parts, bare=bare)
        loss = compare_with_captions(model, image, captions)
        _step(optimizer, loss)
        schedule.step()
        if step % 25 == 0:
            progress.update(task, description=f"training the last block, loss {loss.item():.3f}")
        progress.advance(task)


@torch.no_grad()
def compute_retrieval(model: CLIP, corpus: Corpus, device: torch.device) -> float:
    """Percentage of images whose own caption is the closest of all captions."""
    model.eval()
    captions = corpus.captions[:, 0].long().to(device)
    images, size = corpus.images.to(device), model.visual.image_size
    if images.shape[-2:] != tuple(size):
        images = F.interpolate(images.float(), size=size, mode="bilinear", align_corners=False)
    best = compute_similarity(model, images, captions).argmax(dim=1)
    # Equal captions are all right answers.
    correct = (captions[best] == captions).all(dim=1)
    return round(100 * correct.float().mean().item(), 2)


def export_weights(model: CLIP) -> dict[str, Tensor]:
    """Round the weights to float16, contiguous and on the CPU."""
    return {name: weight.detach().to("cpu", torch.float16).contiguous() for name, weight in model.state_dict().items()}


def compute_weights_digest(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 over the names and the bytes of the tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


def write_result(out: Path, weights: Mapping[str, Tensor], record: Mapping[str, object]) -> None:
    """Write the weights to `out` and the record beside it; each appears complete or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = out.with_name(f".{out.name}.{os.getpid()}")
    save_file(dict(weights), scratch)
    scratch.replace(out)
    scratch.write_text(json.dumps(record, indent=2) + "\n")
    scratch.replace(out.with_suffix(".json"))


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "open_clip": open_clip.__version__,
    }


@dataclass(frozen=True)
class Plan:
    """What is trained.

    Attributes:
        stages: those that run, in order; 2 and 3 may come more than once.
        steps: batches of each of them.
        scenes: of stage 1.
        canvases: larger scenes of stages 2 and 3.
        seed: of every random choice.
        start_from: weights of the stage before the first one.
        done: stages that have run before.
    """

    stages: tuple[int, ...]
    steps: tuple[int, ...]
    scenes: int
    canvases: int
    seed: int
    start_from: Path | None = None
    done: tuple[int, ...] = ()


def train_clip(plan: Plan, device: torch.device) -> tuple[CLIP, float]:
    """Run the stages, round to float16, and measure retrieval on held-out scenes.

    Every random choice follows from the seed; the global generators are left as they were.

    Returns:
        the model and its retrieval accuracy in percent.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    seed = plan.seed
    with Progress(*columns) as progress, torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_model(PARTS_SIZE if max(plan.done, default=1) > 1 else IMAGE_SIZE).to(device)
        if plan.start_from is not None:
            model.load_state_dict(load_file(plan.start_from))
        if max(plan.stages) > 1:
            canvases = draw_canvases(plan.canvases, seed, progress)
        done = list(plan.done)
        for stage, steps in zip(plan.stages, plan.steps, strict=True):
            draws = seed + 1000 * done.count(stage)  # a stage that comes again sees other crops
            if stage == 1:
                train(model, build_corpus(plan.scenes, seed, progress), steps, seed, device, progress)
            else:
                if max(done) == 1:
                    model = widen(model)
                    sharpen_last_block(model)
                (train_parts if stage == 2 else train_last_block)(model, canvases, steps, draws, device, progress)
            done.append(stage)
            model.load_state_dict(export_weights(model))
        held_out = build_corpus(HELD_OUT_SCENES, seed + 1, progress, compose_full_caption)
        return model, compute_retrieval(model, held_out, device)


def _find_fault(stages: Sequence[int], start: Path | None) -> str | None:
    """Say what is wrong with the stages and with where they start from."""
    if not set(stages) <= {1, 2, 3} or 1 in stages[1:]:
        return f"--stages must be 2 and 3 in any order, with 1 before them or not, got {list(stages)}"
    if (stages[0] > 1) != (start is not None):
        return "--start-from is needed where --stages does not begin with 1, and only there"
    if start is None:
        return None
    missing = [path for path in (start, start.with_suffix(".json")) if not path.is_file()]
    return f"--start-from needs weights and their record beside them, but there is no {missing[0]}" if missing else None


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train the pocket CLIP on the pocket generator.")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--seed", type=int, default=0, help="of scenes, captions and weights")
    parser.add_argument("--stages", type=int, nargs="+", default=STAGES, help="those to run, in order")
    parser.add_argument("--start-from", type=Path, help="weights of the stage before the first one of --stages")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="batches of each of --stages")
    parser.add_argument("--scenes", type=int, default=TRAINING_SCENES, help="distinct scenes in stage 1")
    parser.add_argument("--canvases", type=int, default=CANVASES, help="distinct larger scenes in stages 2 and 3")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parsed = parser.parse_args(arguments)
    if parsed.out.suffix != ".safetensors":
        parser.error(f"--out must end in .safetensors, got {parsed.out}")
    for name, values in (
        ("steps", parsed.steps),
        ("scenes", [parsed.scenes]),
        ("canvases", [parsed.canvases]),
    ):
        if min(values) < 1:
            parser.error(f"--{name} must be at least 1, got {min(values)}")
    fault = _find_fault(parsed.stages, parsed.start_from)
    if not fault and len(parsed.steps) != len(parsed.stages):
        fault = f"--steps must be a number for each of --stages {list(parsed.stages)}, got {list(parsed.steps)}"
    if fault:
        parser.error(fault)
    return parsed


def _read_start(path: Path | None) -> dict[str, Any] | None:
    """Record of the weights that training starts from.

    Raises:
        ValueError: it is that of other weights.
    """
    if path is None:
        return None
    record: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
    if record.get("tensors_sha256") != compute_weights_digest(load_file(path)):
        raise ValueError(f"{path.with_suffix('.json')} is not the record of {path}; train that stage again.")
    return record


def _list_stages(record: Mapping[str, Any] | None) -> list[int]:
    """The stages that made weights, in order; a record without stages is of the first one alone."""
    return [] if record is None else [*_list_stages(record.get("started_from")), *record.get("stages", [1])]


def _compose_command(plan: Plan, out: str) -> str:
    words = ["python -m mmseg_tfovss.pocket.train_clip --out", out, "--seed", plan.seed, "--stages", *plan.stages]
    words += ["--steps", *plan.steps, "--scenes", plan.scenes, "--canvases", plan.canvases]
    words += ["--start-from", plan.start_from.name] if plan.start_from else []
    return " ".join(map(str, words))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, then write the weights and the record of how they were made."""
    options = parse_arguments(arguments)
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(automatic if options.device == "auto" else options.device)
    start = time.perf_counter()
    started_from = _read_start(options.start_from)
    plan = Plan(
        tuple(options.stages),
        tuple(options.steps),
        options.scenes,
        options.canvases,
        options.seed,
        options.start_from,
        tuple(_list_stages(started_from)),
    )
    model, retrieval = train_clip(plan, device)
    weights = export_weights(model)
    record = {
        "command": _compose_command(plan, options.out.name),
        "seed": plan.seed,
        "stages": plan.stages,
        "steps": plan.steps,
        "scenes": plan.scenes,
        "canvases": plan.canvases,
        "started_from": started_from,
        "retrieval_percent": retrieval,
        "retrieval_among": HELD_OUT_SCENES,
        "seconds": round(time.perf_counter() - start),
        "device": device.type,
        "threads": torch.get_num_threads(),
        "versions": _versions(),
        "tensors_sha256": compute_weights_digest(weights),
    }
    write_result(options.out, weights, record)
    sys.stdout.write(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
