"""Train the pocket diffusion model: a VAE, then a captioned UNet, on the pocket generator alone.

``python -m mmseg_tfovss.pocket.train_diffusion --out F`` writes the folder F in Stable
Diffusion 2's layout (float16), with a record.json of how it was made. Scenes come from other seeds
than the validation split's. Training never looks at masks; the quality of the attention graphs,
measured at the end on held-out training scenes, does. The same seed gives the same scenes,
captions, noise and batches everywhere; the weights may differ in their last bits, and after that
by more, between machines, devices and thread counts.
"""

import argparse
import json
import os
import platform
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from numpy.typing import NDArray
from PIL import Image
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from sklearn.metrics import roc_auc_score
from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from mmseg_tfovss.encoders.clip_graph import CLIPGraph
from mmseg_tfovss.encoders.hub import quiet
from mmseg_tfovss.encoders.pretrained import no_progress_bar
from mmseg_tfovss.encoders.stable_diffusion import StableDiffusion
from mmseg_tfovss.ops.canvas import Size
from mmseg_tfovss.pocket.classes import CLASSES
from mmseg_tfovss.pocket.scenes import VALIDATION_RADII, VALIDATION_SIZE, VALIDATION_UNIT, Dice, draw_scene
from mmseg_tfovss.pocket.train_clip import (
    RADII,
    compose_caption,
    compose_full_caption,
    compute_weights_digest,
    export_weights,
)

# A training image shows a square of 64 to 128 training pixels on 128 pixels, so one training pixel
# on 1 to 2 pixels; at short side 192 the validation split has it on 1.5.
IMAGE_SIZE = 128
CANVAS_SIZES = (128, 256)
CANVAS_UNIT = 2
VAE_CROP = 64
CAPTIONS_PER_SCENE = 2
CAPTION_TOKENS = 32
# The graph is read with the empty prompt, so that prompt is trained often.
EMPTY_PROMPT_PART = 0.4
TRAINING_SCENES = 3_000
VAE_STEPS = 700
UNET_STEPS = 1_500
BATCH_SIZE = 16
VAE_RATE = 2e-3
UNET_RATE = 6e-4
KL_WEIGHT = 1e-3
# Where the graph is measured: held-out scenes as the validation split draws them, at its scale.
MEASURED_SCENES = 50
MEASURED_SIZE = 192
MEASURED_GRID = 24
MEASURED_TIMES = (1, 100, 300)
MEASURED_BLOCKS = (
    ("down_blocks.0",),
    ("down_blocks.1",),
    ("down_blocks.2",),
    ("mid_block",),
    ("up_blocks.1",),
    ("up_blocks.2",),
    ("up_blocks.3",),
    ("up_blocks.1", "up_blocks.2"),
)


@dataclass(frozen=True)
class Corpus:
    """Training pairs, in memory.

    Attributes:
        images: uint8 (N, 3, S, S).
        captions: N x CAPTIONS_PER_SCENE sentences.
    """

    images: Tensor
    captions: list[list[str]]


@dataclass(frozen=True)
class PocketDiffusion:
    """The networks of one model.

    Attributes:
        vae: image of S x S pixels <-> latent of S/4 x S/4.
        unet: predicts v from noisy latents.
        text_encoder: caption -> what the UNet reads.
        tokenizer: bytes, and the words of the corpus' captions.
        scheduler: noise level of every time step; SD2's.
    """

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    scheduler: DDIMScheduler

    def networks(self) -> dict[str, Any]:
        """The three networks, by the names of their folders."""
        return {"vae": self.vae, "unet": self.unet, "text_encoder": self.text_encoder}

    def weights(self) -> dict[str, Tensor]:
        """All tensors, float16, ``folder.name`` -> tensor."""
        return {
            f"{folder}.{name}": weight
            for folder, network in self.networks().items()
            for name, weight in export_weights(network).items()
        }


def draw_image(dice: Dice) -> tuple[NDArray[np.uint8], list[str]]:
    """Draw one training image (S, S, 3) with its captions; again if no thing or no ground is seen."""
    while True:
        size = dice.between(*CANVAS_SIZES)
        scene = draw_scene(dice, size, CANVAS_UNIT, dice.between(1, size // 48), RADII)
        if scene.things and scene.stuff:
            resized = Image.fromarray(scene.image).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)
            return np.asarray(resized), [compose_caption(scene, dice), compose_full_caption(scene, dice)]


def build_corpus(count: int, seed: int, progress: Progress) -> Corpus:
    """Draw `count` images with their captions; the same for the same seed."""
    images = np.empty((count, 3, IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
    captions = []
    for index in progress.track(range(count), description="drawing scenes"):
        image, sentences = draw_image(Dice(seed, index))
        images[index] = image.transpose(2, 0, 1)
        captions.append(sentences)
    return Corpus(torch.from_numpy(images), captions)


def learn_merges(sentences: Sequence[str]) -> list[tuple[str, str]]:
    """Byte pairs in the order of their merging, the most frequent first, until every word is one token.

    The tokenizers library learns them too, but numbers its tokens in another order on every run.
    """
    words = Counter(re.findall(r"[a-z]+|[^a-z\s]+", " ".join(sentences).lower()))
    pieces = {word: [*word[:-1], f"{word[-1]}</w>"] for word in words}
    merges: list[tuple[str, str]] = []
    while True:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in pieces.items():
            for pair in pairwise(parts):
                pairs[pair] += words[word]
        if not pairs:
            return merges
        merges.append(max(pairs, key=lambda pair: (pairs[pair], pair)))
        pieces = {word: _merge(parts, merges[-1]) for word, parts in pieces.items()}


def _merge(parts: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return merged


def build_tokenizer(captions: Sequence[Sequence[str]]) -> CLIPTokenizer:
    """CLIP's tokenizer, with every byte and the words of these captions."""
    merges = learn_merges([sentence for sentences in captions for sentence in sentences])
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges)]
    vocabulary = {token: index for index, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=CAPTION_TOKENS)


def build_model(tokenizer: CLIPTokenizer) -> PocketDiffusion:
    """Build the untrained networks: SD2's layout with few channels, and a VAE that shrinks by 4 in place of 8."""
    vae = AutoencoderKL(
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=8,
        sample_size=IMAGE_SIZE,
    )
    # As in SD2 `attention_head_dim` is, in spite of its name, the number of heads: 32 channels a head.
    unet = UNet2DConditionModel(
        sample_size=IMAGE_SIZE // 4,
        block_out_channels=(32, 64, 96, 96),
        attention_head_dim=(1, 2, 3, 3),
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        layers_per_block=1,
        cross_attention_dim=64,
        norm_num_groups=16,
        use_linear_projection=True,
    )
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=CAPTION_TOKENS,
        projection_dim=64,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
    )
    return PocketDiffusion(vae, unet, CLIPTextModel(text), tokenizer, scheduler)


def scale_pixels(images: Tensor) -> Tensor:
    """Map uint8 RGB (B, 3, S, S) to -1 .. 1, which the VAE reads."""
    return images.float() / 127.5 - 1


def tokenize(tokenizer: CLIPTokenizer, sentences: list[str]) -> Tensor:
    """Token ids (B, L) of sentences, padded and cut to the text encoder's length."""
    options = {"padding": "max_length", "truncation": True, "max_length": CAPTION_TOKENS}
    return tokenizer(sentences, return_tensors="pt", **options).input_ids


class Training:
    """AdamW with one cycle of the learning rate, and its progress bar.

    Args:
        parameters: what is trained.
        rate: the highest learning rate.
        steps: number of updates.
        progress: where the bar is shown.
        name: what it says.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], rate: float, steps: int, progress: Progress, name: str
    ) -> None:
        self.parameters, self.progress, self.name = parameters, progress, name
        self.optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=rate, total_steps=steps + 1, pct_start=0.1, final_div_factor=100
        )
        self.task = progress.add_task(name, total=steps)
        self.done, self.mean_loss = 0, 0.0

    def update(self, loss: Tensor) -> None:
        """Follow the gradient of `loss`."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.schedule.step()
        keep = min(self.done / (self.done + 1), 0.98)
        self.mean_loss = keep * self.mean_loss + (1 - keep) * loss.item()
        self.done += 1
        self.progress.update(self.task, advance=1, description=f"{self.name}, loss {self.mean_loss:.3f}")


def train_vae(vae: AutoencoderKL, images: Tensor, steps: int, choose: torch.Generator, progress: Progress) -> float:
    """Train in place to give back random crops, with a little weight on a normal latent; then set its scale.

    Returns:
        the running mean of the loss at the end.
    """
    device = vae.device
    training = Training(list(vae.parameters()), VAE_RATE, steps, progress, "training the VAE")
    for _ in range(steps):
        index = torch.randint(len(images), (BATCH_SIZE,), generator=choose)
        top, left = torch.randint(IMAGE_SIZE - VAE_CROP + 1, (2,), generator=choose).tolist()
        pixels = scale_pixels(images[index, :, top : top + VAE_CROP, left : left + VAE_CROP]).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            posterior = vae.encode(pixels).latent_dist
            noise = torch.randn(posterior.mean.shape, generator=choose).to(device)
            found = vae.decode(posterior.mean + posterior.std * noise).sample
        normal = (posterior.mean.float() ** 2 + posterior.var.float() - 1 - posterior.logvar.float()).mean() / 2
        training.update(F.l1_loss(found.float(), pixels) + KL_WEIGHT * normal)
    return training.mean_loss


@torch.no_grad()
def encode_images(vae: AutoencoderKL, images: Tensor, progress: Progress) -> Tensor:
    """Latents (N, 2, 4, S/4, S/4) of the images and of their mirror images; sets the VAE's scaling factor."""
    pairs = []
    for batch in progress.track(images.split(BATCH_SIZE), description="encoding"):
        both = torch.stack([batch, batch.flip(3)], dim=1).flatten(0, 1)
        pairs.append(vae.encode(scale_pixels(both).to(vae.device)).latent_dist.mode().cpu())
    latents = torch.cat(pairs).unflatten(0, (len(images), 2))
    vae.register_to_config(scaling_factor=round(1 / latents.std().item(), 5))
    return latents * vae.config.scaling_factor


def train_unet(
    model: PocketDiffusion, latents: Tensor, tokens: Tensor, steps: int, choose: torch.Generator, progress: Progress
) -> float:
    """Train UNet and text encoder in place.

    Args:
        model: the networks.
        latents: (N, 2, 4, h, w), scaled.
        tokens: (N, CAPTIONS_PER_SCENE, L).
        steps: number of batches.
        choose: source of every choice, on the CPU.
        progress: where it is shown.

    Returns:
        the running mean of the loss at the end.
    """
    device = model.unet.device
    empty = tokenize(model.tokenizer, [""])
    kept = model.scheduler.alphas_cumprod
    parameters = [*model.unet.parameters(), *model.text_encoder.parameters()]
    training = Training(parameters, UNET_RATE, steps, progress, "training the UNet")
    for _ in range(steps):
        index = torch.randint(len(latents), (BATCH_SIZE,), generator=choose)
        mirror = torch.randint(2, (BATCH_SIZE,), generator=choose)
        which = torch.randint(CAPTIONS_PER_SCENE, (BATCH_SIZE,), generator=choose)
        dropped = torch.rand(BATCH_SIZE, 1, generator=choose) < EMPTY_PROMPT_PART
        times = torch.randint(len(kept), (BATCH_SIZE,), generator=choose)
        clean = latents[index, mirror]
        noise = torch.randn(clean.shape, generator=choose)
        signal, spread = (part[times, None, None, None].sqrt() for part in (kept, 1 - kept))
        prompts = torch.where(dropped, empty, tokens[index, which]).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            text = model.text_encoder(prompts).last_hidden_state
            found = model.unet((signal * clean + spread * noise).to(device), times.to(device), text).sample
        training.update(F.mse_loss(found.float(), (signal * noise - spread * clean).to(device)))
    return training.mean_loss


def train_diffusion(
    scenes: int, vae_steps: int, steps: int, seed: int, device: torch.device
) -> tuple[PocketDiffusion, dict[str, float]]:
    """Draw the corpus and train the VAE, then the UNet with its text encoder.

    Every random choice follows from `seed`; the global generators are left as they were.

    Returns:
        the model and the losses at the end.
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
        choose = torch.Generator().manual_seed(seed)
        corpus = build_corpus(scenes, seed, progress)
        model = build_model(build_tokenizer(corpus.captions))
        for network in model.networks().values():
            network.to(device).train()
        vae_loss = train_vae(model.vae, corpus.images, vae_steps, choose, progress)
        model.vae.eval()
        latents = encode_images(model.vae, corpus.images, progress)
        sentences = [sentence for sentences in corpus.captions for sentence in sentences]
        tokens = tokenize(model.tokenizer, sentences).unflatten(0, (scenes, CAPTIONS_PER_SCENE))
        unet_loss = train_unet(model, latents, tokens, steps, choose, progress)
    return model, {"vae": round(vae_loss, 4), "unet": round(unet_loss, 4)}


def save_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write the three files that SD2's tokenizer has."""
    folder.mkdir()
    pairs = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(pairs["vocab"]) + "\n")
    merges = "".join(f"{left} {right}\n" for left, right in pairs["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}", encoding="utf-8")
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": tokenizer.model_max_length}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | tokenizer.special_tokens_map, indent=2) + "\n")


def save_model(model: PocketDiffusion, folder: Path) -> None:
    """Write a model in Stable Diffusion 2's layout, float16."""
    with quiet(), no_progress_bar():
        for name, network in model.networks().items():
            network.eval().to("cpu", torch.float16).save_pretrained(folder / name, safe_serialization=True)
        model.scheduler.save_pretrained(folder / "scheduler")
    save_tokenizer(model.tokenizer, folder / "tokenizer")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": diffusers.__version__,
        "feature_extractor": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)  # safetensors files are written for their owner alone


def compute_graph_auc(graph: Tensor, labels: Tensor) -> float:
    """Chance that a pair of patches of one class has more attention than a pair of two classes.

    Args:
        graph: (N, N).
        labels: (N,), at least two classes.
    """
    same = labels[:, None] == labels
    pairs = ~torch.eye(len(labels), dtype=torch.bool)
    return float(roc_auc_score(same[pairs].numpy(), graph[pairs].numpy()))


def draw_measured_scenes(count: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Draw scenes like the validation split's, with the patches' majority classes.

    Returns:
        images (1, 3, S, S), grey levels, and labels (N,), of scenes whose patches show two classes or more.
    """
    scenes: list[tuple[Tensor, Tensor]] = []
    index = 0
    while len(scenes) < count:
        dice = Dice(seed, index)
        scene = draw_scene(dice, VALIDATION_SIZE, VALIDATION_UNIT, dice.between(2, 5), VALIDATION_RADII)
        index += 1
        side = (MEASURED_SIZE, MEASURED_SIZE)
        resized = np.asarray(Image.fromarray(scene.image).resize(side, Image.Resampling.BILINEAR))
        classes = torch.from_numpy(scene.labels).long()
        shares = F.one_hot(classes, len(CLASSES)).permute(2, 0, 1)[None].float()
        labels = F.adaptive_avg_pool2d(shares, MEASURED_GRID).argmax(dim=1).flatten()
        if len(labels.unique()) > 1:
            scenes.append((torch.from_numpy(resized.copy()).permute(2, 0, 1)[None].float(), labels))
    return scenes


def nearness(images: Tensor, grid: Size) -> Tensor:
    """What a graph has to beat: minus the distance of patches (1, N, N), whatever the image shows."""
    places = torch.cartesian_prod(*(torch.arange(float(side)) for side in grid))
    return -torch.cdist(places, places)[None]


def likeness(images: Tensor, grid: Size) -> Tensor:
    """What colour alone tells: minus the distance of the patches' mean colours, (B, N, N)."""
    colours = F.adaptive_avg_pool2d(images, grid).flatten(2).transpose(1, 2)  # (B, N, 3)
    return -torch.cdist(colours, colours)


@torch.inference_mode()
def measure_graph(graph: Callable[[Tensor, Size], Tensor], scenes: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Mean over scenes of :func:`compute_graph_auc`, for a graph as in ``mmseg_tfovss.encoders``."""
    grid = (MEASURED_GRID, MEASURED_GRID)
    return round(float(np.mean([compute_graph_auc(graph(image, grid)[0], labels) for image, labels in scenes])), 4)


def measure_graphs(folder: Path, seed: int) -> dict[str, float]:
    """:func:`measure_graph` on held-out scenes, of the model in `folder` by blocks and time, and of other graphs."""
    scenes = draw_measured_scenes(MEASURED_SCENES, seed + 1)
    clip = {"type": "CLIPImageEncoder", "arch": "auto", "pretrained": "pocket"}
    others: dict[str, Callable[[Tensor, Size], Tensor]] = {
        "nearness of patches": nearness,
        "likeness of mean colours": likeness,
        "pocket CLIP, last block": CLIPGraph(layers=[12], backbone=clip).graph,
        "pocket CLIP, all blocks": CLIPGraph(backbone=clip).graph,
    }
    found = {name: measure_graph(graph, scenes) for name, graph in others.items()}
    for blocks in MEASURED_BLOCKS:
        for time_step in MEASURED_TIMES:
            network = StableDiffusion(str(folder), blocks=blocks, time_step=time_step)
            found[f"{' + '.join(blocks)}, time step {time_step}"] = measure_graph(network.graph, scenes)
    return found


def write_result(out: Path, model: PocketDiffusion, record: Mapping[str, object], seed: int) -> dict[str, object]:
    """Write the folder `out`, complete or not at all, and return its record with the quality of the graphs."""
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = out.with_name(f".{out.name}.{os.getpid()}")
    save_model(model, scratch)
    complete = {**record, "graph_auc": measure_graphs(scratch, seed)}
    (scratch / "record.json").write_text(json.dumps(complete, indent=2) + "\n")
    scratch.replace(out)
    return complete


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
    }


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train the pocket diffusion model on the pocket generator.")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write; it must be new, or empty")
    parser.add_argument("--seed", type=int, default=0, help="of scenes, captions, noise and weights")
    parser.add_argument("--steps", type=int, default=UNET_STEPS, help=f"batches of {BATCH_SIZE} for the UNet")
    parser.add_argument("--vae-steps", type=int, default=VAE_STEPS, help=f"batches of {BATCH_SIZE} for the VAE")
    parser.add_argument("--scenes", type=int, default=TRAINING_SCENES, help="distinct scenes")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    parsed = parser.parse_args(arguments)
    if parsed.out.exists() and (not parsed.out.is_dir() or any(parsed.out.iterdir())):
        parser.error(f"--out must be a new or an empty folder, got {parsed.out}")
    for name in ("steps", "vae_steps", "scenes"):
        if getattr(parsed, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1, got {getattr(parsed, name)}")
    return parsed


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure, then write the folder and the record of how it was made."""
    options = parse_arguments(arguments)
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(automatic if options.device == "auto" else options.device)
    start = time.perf_counter()
    model, losses = train_diffusion(options.scenes, options.vae_steps, options.steps, options.seed, device)
    record = {
        "command": "python -m mmseg_tfovss.pocket.train_diffusion"
        f" --out {options.out.name} --seed {options.seed} --steps {options.steps}"
        f" --vae-steps {options.vae_steps} --scenes {options.scenes}",
        "seed": options.seed,
        "steps": options.steps,
        "vae_steps": options.vae_steps,
        "scenes": options.scenes,
        "batch_size": BATCH_SIZE,
        "losses": losses,
        "seconds": round(time.perf_counter() - start),
        "device": device.type,
        "threads": torch.get_num_threads(),
        "versions": _versions(),
        "tensors_sha256": compute_weights_digest(model.weights()),
    }
    complete = write_result(options.out, model, record, options.seed)
    sys.stdout.write(json.dumps(complete, indent=2) + "\n")


if __name__ == "__main__":
    main()
