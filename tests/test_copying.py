"""A quick copy of a network is the one that ``copy.deepcopy`` makes."""

import torch
from torch import nn

from mmseg_tfovss.encoders.dino import DINO
from tests.copying import copy_network
from tests.mini import new_mini_clip


def test_a_copy_says_the_same_and_a_change_of_it_stays_its_own():
    network = DINO("pocket")
    images = 255 * torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    expected, copied = network.tokens(images, (4, 6)), copy_network(network)
    assert torch.equal(copied.tokens(images, (4, 6)), expected)
    for tensor in (*copied.parameters(), *copied.buffers()):
        tensor.data.fill_(0)
    next(copied.children()).register_forward_hook(lambda *_: 1 / 0)
    assert torch.equal(network.tokens(images, (4, 6)), expected)


def test_what_is_shared_is_the_same_object_and_nothing_else_is():
    network = new_mini_clip(quick_gelu=True)
    copied = copy_network(network, shared=[network.transformer])
    assert copied.transformer is network.transformer
    assert copied.visual is not network.visual
    assert copied.visual.proj is not network.visual.proj
    assert not hasattr(nn.Module, "__deepcopy__")
