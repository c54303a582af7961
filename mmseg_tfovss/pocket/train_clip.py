"""Train the pocket CLIP: contrastively, on images and captions of the pocket generator alone.

``python -m mmseg_tfovss.pocket.train_clip --out F`` writes F (float16, keys in OpenAI's
layout) and, beside it, a .json of how it was made. Masks are never looked at. The same seed gives
the same scenes, captions and batches everywhere; the weights may differ in their last bits, and
after that by more, between machines, devices and thread counts.
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

import numpy as np
import open_clip
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from mmseg_tfovss.pocket.classes import CLASSES
from mmseg_tfovss.pocket.scenes import Dice, Scene, draw_scene

IMAGE_SIZE = 64
RADII = (9, 27)
CAPTION_TOKENS = 32
CAPTIONS_PER_SCENE = 4
TRAINING_SCENES = 40_000
HELD_OUT_SCENES = 256
BATCH_SIZE = 128
STEPS = 1_800
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
# Nouns a caption may use; the first is the class name.
NOUNS: dict[str, tuple[str, ...]] = {name: (name,) for name in CLASSES} | {
    "gift": ("gift", "present"),
    "tree": ("tree", "pine"),
}
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


def build_model() -> CLIP:
    """Build the untrained network: ViT of 12 blocks, width 128, patch 8, and a small text tower."""
    vision = CLIPVisionCfg(
        layers=12,
        width=128,
        head_width=64,
        patch_size=8,
        image_size=IMAGE_SIZE,
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


def build_optimizer(model: CLIP) -> torch.optim.Optimizer:
    """AdamW, without weight decay on vectors, scalars and the class and position embeddings."""
    plain = {"visual.positional_embedding", "positional_embedding"}
    named = list(model.named_parameters())
    decayed = [weight for name, weight in named if weight.ndim > 1 and name not in plain]
    free = [weight for name, weight in named if weight.ndim < 2 or name in plain]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98), eps=1e-6)


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


@torch.no_grad()
def compute_retrieval(model: CLIP, corpus: Corpus, device: torch.device) -> float:
    """Percentage of images whose own caption is the closest of all captions."""
    model.eval()
    captions = corpus.captions[:, 0].long().to(device)
    best = compute_similarity(model, corpus.images.to(device), captions).argmax(dim=1)
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


def train_clip(steps: int, scenes: int, seed: int, device: torch.device) -> tuple[CLIP, float]:
    """Draw the corpus, train, round to float16, and measure retrieval on held-out scenes.

    Every random choice follows from `seed`; the global generators are left as they were.

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
    with Progress(*columns) as progress, torch.random.fork_rng():
        torch.manual_seed(seed)
        corpus = build_corpus(scenes, seed, progress)
        model = build_model().to(device)
        train(model, corpus, steps, seed, device, progress)
        model.load_state_dict(export_weights(model))
        held_out = build_corpus(HELD_OUT_SCENES, seed + 1, progress, compose_full_caption)
        return model, compute_retrieval(model, held_out, device)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train the pocket CLIP on the pocket generator.")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--seed", type=int, default=0, help="of scenes, captions and weights")
    parser.add_argument("--steps", type=int, default=STEPS, help="batches of 128")
    parser.add_argument("--scenes", type=int, default=TRAINING_SCENES, help="distinct scenes")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parsed = parser.parse_args(arguments)
    if parsed.out.suffix != ".safetensors":
        parser.error(f"--out must end in .safetensors, got {parsed.out}")
    for name in ("steps", "scenes"):
        if getattr(parsed, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(parsed, name)}")
    return parsed


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, then write the weights and the record of how they were made."""
    options = parse_arguments(arguments)
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(automatic if options.device == "auto" else options.device)
    start = time.perf_counter()
    model, retrieval = train_clip(options.steps, options.scenes, options.seed, device)
    weights = export_weights(model)
    record = {
        "command": "python -m mmseg_tfovss.pocket.train_clip"
        f" --out {options.out.name} --seed {options.seed}"
        f" --steps {options.steps} --scenes {options.scenes}",
        "seed": options.seed,
        "steps": options.steps,
        "scenes": options.scenes,
        "batch_size": BATCH_SIZE,
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
