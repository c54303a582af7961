"""CLIP Surgery's notebook, on our image and words."""

import pytest
import torch

from mmseg_tfovss.config import load_config
from mmseg_tfovss.profiling.official.surgery import SurgeryCheckout
from tests.profiling.official.conftest import CPU, square_side

# In the form of the authors': a changed clip package. Tokens are colours, behind a class token.
CLIP = """
def clip_feature_surgery(tokens, words):
    return tokens @ words.T
"""
LOAD = """
import torch, numpy
def _transform(side):
    return lambda image: torch.tensor(numpy.array(image.resize((side, side), 0)) / 255).float().permute(2, 0, 1)
"""
BUILD = """
import torch
class Changed(torch.nn.Module):
    def encode_image(self, image):
        patches = image.flatten(2).transpose(1, 2)
        return torch.cat([torch.ones(1, 1, 3), patches], dim=1)
def build_model(name, tensors):
    assert "CS-" in name and tensors == {"a": 1}
    return Changed()
"""


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "clip").mkdir()
    files = {"__init__": CLIP, "clip": LOAD, "build_model": BUILD, "clip_surgery_model": ""}
    for name, text in files.items():
        (tmp_path / f"clip/{name}.py").write_text(text)
    assert SurgeryCheckout.is_one(tmp_path)
    return SurgeryCheckout(tmp_path)


def test_labels_are_of_the_largest_similarity(checkout, shared, colours):
    torch.save({"a": 1}, shared.clip)
    checkout.choose(load_config("clip_surgery_vit-b16_voc20", {"model.short_side": 12}), {})
    assert checkout.labels(shared, square_side(), CPU)(colours)[1].tolist() == [0, 0, 1, 1, 2, 2]


def test_what_it_cannot_run_is_named(checkout):
    with pytest.raises(ValueError, match="CLIP Surgery's code has no settings"):
        checkout.choose(load_config("clip_surgery_vit-b16_voc20"), {"t": 1})
    with pytest.raises(ValueError, match="CLIP Surgery's code sees the whole image, stretched to a square"):
        checkout.choose(load_config("clip_surgery_vit-b16_voc20", {"protocol": "unified"}), {})
    with pytest.raises(ValueError, match=r"model\.dual_blocks=6 only"):
        checkout.choose(load_config("clip_surgery_vit-b16_voc20", {"model.dual_blocks": 4}), {})
