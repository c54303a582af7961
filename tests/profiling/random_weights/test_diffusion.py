"""The random diffusion model has SD2's size."""

import diffusers
import pytest
import torch

from mmseg_tfovss.profiling.random_weights import diffusion
from mmseg_tfovss.profiling.random_weights.diffusion import RandomStableDiffusion


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.slow
def test_sizes_are_those_of_sd2():
    """The paper's 857.2 M, see encoders/stable_diffusion.py: the VAE, and the UNet as far as it runs."""
    with torch.device("meta"):
        unet, vae = diffusers.UNet2DConditionModel(**diffusion._UNET), diffusers.AutoencoderKL(**diffusion._VAE)
    assert round(count(unet) / 1e6, 1) == 865.9
    after = (unet.up_blocks[2], unet.up_blocks[3], unet.conv_norm_out, unet.conv_out)
    assert round((count(vae) + count(unet) - sum(map(count, after))) / 1e6, 1) == 857.9


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_its_graph_is_not_flat_and_the_same_every_time(tiny_networks, precision):
    images = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 255
    one, other = (RandomStableDiffusion(precision=precision).graph(images, (8, 8)) for _ in range(2))
    assert torch.equal(one, other)
    torch.testing.assert_close(one.sum(dim=-1), torch.ones(1, 64))
    assert one.amax() > 1.5 / 64
