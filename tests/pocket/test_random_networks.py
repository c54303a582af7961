"""The random networks of the pocket benchmark: the files that ship, and what runs with them."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from mmseg_tfovss.encoders import DINO, SAM, DINOv2
from mmseg_tfovss.encoders.pretrained import POCKET
from mmseg_tfovss.pocket import random_networks
from mmseg_tfovss.pocket.random_networks import FILES
from mmseg_tfovss.pocket.train_diffusion import draw_measured_scenes, measure_graph


@pytest.mark.parametrize("name", FILES)
def test_the_files_that_ship_follow_from_the_seed(name):
    shipped, drawn = load_file(POCKET / name), FILES[name]()
    assert set(shipped) == set(drawn)
    for key, tensor in drawn.items():
        assert tensor.dtype == torch.float16
        assert torch.equal(shipped[key], tensor), key
        assert tensor.isfinite().all()
    other = FILES[name](random_networks.SEED + 1)
    assert not torch.equal(next(iter(other.values())), next(iter(drawn.values())))
    assert (POCKET / name).stat().st_size < 2**20


def test_the_command_writes_them(tmp_path):
    random_networks.main(["--out", str(tmp_path)])
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (POCKET / name).read_bytes()


@torch.inference_mode()
def test_pocket_companions_run():
    dino, sam = DINO("pocket"), SAM("pocket", multimask=False)
    assert (dino.name, dino.patch_size, dino.depth) == ("DINO(pocket)", 8, 4)
    assert sam.name == "SAM(pocket)"
    image = torch.randint(0, 256, (3, 96, 128), generator=torch.Generator().manual_seed(0))
    assert dino.features(image[None].float(), (12, 16)).shape == (1, 64, 12, 16)
    assert dino.projections(image[None].float(), (12, 16))[1].shape == (1, 2, 192, 32)
    encoded = sam.encode(image.to(torch.uint8))
    assert encoded.last_block.grid == (12, 16)
    boxes = torch.tensor([[10.0, 10.0, 100.0, 90.0], [60.0, 20.0, 200.0, 180.0]])
    masks, scores = sam.decode(encoded.embedding, boxes=boxes)
    assert masks.shape == (2, 64, 64)
    assert ((scores > 0.8) & (scores < 1.1)).all()
    shares = (masks > 0).float().mean(dim=(1, 2))
    assert ((shares > 0.05) & (shares < 0.95)).all()
    assert not torch.equal(masks[0], masks[1])


@torch.inference_mode()
def test_patches_of_one_class_are_alike_to_the_random_dino():
    """0.936 on 40 scenes; without any idea of classes it would be a half."""
    network = DINO("pocket")

    def cosines(images, grid):
        unit = F.normalize(network.features(images, grid).flatten(2), dim=1)
        return unit.transpose(1, 2) @ unit

    assert measure_graph(cosines, draw_measured_scenes(5, 1)) > 0.9


def test_companions_without_a_pocket_network_say_so():
    with pytest.raises(
        ValueError, match=r"^model\.graph\.pretrained: there is no pocket DINOv2: name a folder or a hub id"
    ):
        DINOv2("pocket")
