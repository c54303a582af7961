"""Methods as their own configs set them."""

import json

import pytest
import torch

from tests.methods.own_config import Builder
from tests.parity import cases, gen_clip


@pytest.fixture(scope="session")
def build_own(build_method, mini_clip, tmp_path_factory):
    """Build a method on the mini CLIP with the options of one of its configs."""
    return Builder(build_method, mini_clip, tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory):
    """Files of the networks beside CLIP on which official outputs were computed: ``tiny_weights("dino_w32")``."""
    folder = tmp_path_factory.mktemp("companions")
    recipes = json.loads((cases.FOLDER / "weights.json").read_text())

    def write(name):
        path = folder / f"{name}.pth"
        if not path.is_file():
            state = gen_clip.make(recipes[name]["kind"], recipes[name]["seed"])
            assert gen_clip.sha256(state) == recipes[name]["sha256"]
            torch.save(state, path)
        return str(path)

    return write
