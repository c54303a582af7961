"""GEM's library sees the image as a square, and gives maps of our words."""

import open_clip
import pytest
import torch

from mmseg_tfovss.config import load_config
from mmseg_tfovss.profiling.official.gem import GEMCheckout
from tests.profiling.official.conftest import CPU, square_side

# In the form of the authors': a wrapper around open_clip. Maps: 100 times the colour, as the cosine of the word.
WRAPPER = """
import torch
class GEMWrapper(torch.nn.Module):
    def __init__(self, model, tokenizer, depth, ss_attn_iter, ss_attn_temp):
        super().__init__()
        self.model, self.options = model, (depth, ss_attn_iter, ss_attn_temp)
    def encode_text(self, words):
        raise AssertionError("their words are replaced")
    def batched_forward(self, image, text, normalize):
        assert image.shape[-1] == image.shape[-2]
        words = self.encode_text(text[0])[0]
        assert len(words) == len(text[0])
        scale = 1 if normalize else 100
        return [scale * torch.einsum("chw,qc->qhw", image[0], words)]
"""
LIBRARY = """
import torch, numpy
def get_gem_img_transform(img_size):
    return lambda image: torch.tensor(numpy.array(image.resize(img_size, 0)) / 255).float().permute(2, 0, 1)
"""


class Tower(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.visual = torch.nn.Module()
        self.visual.transformer = torch.nn.MultiheadAttention(2, 1, batch_first=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    (tmp_path / "gem").mkdir()
    (tmp_path / "gem/__init__.py").write_text(LIBRARY)
    (tmp_path / "gem/gem_wrapper.py").write_text(WRAPPER)
    monkeypatch.setattr(open_clip, "load_openai_model", lambda *_, **__: Tower())
    assert GEMCheckout.is_one(tmp_path)
    return GEMCheckout(tmp_path)


@pytest.mark.parametrize("normalize", [True, False])
def test_labels_are_of_the_largest_map(checkout, shared, colours, normalize):
    config = load_config("gem_vit-b16_voc20", {"model.short_side": 12, "model.normalize": normalize})
    checkout.choose(config, {})
    assert checkout.labels(shared, square_side(), CPU)(colours)[1].tolist() == [0, 0, 1, 1, 2, 2]


def test_its_options_are_ours_and_tokens_come_first(checkout, shared):
    checkout.choose(load_config("gem_vit-b16_voc20", {"model.gem_depth": 3, "model.ss_attn_iter": 0}), {})
    with checkout.running(CPU):
        wrapper = checkout._build(shared.clip, CPU)
    assert wrapper.options == (3, 0, None)
    assert not wrapper.model.visual.transformer.batch_first


def test_what_it_cannot_run_is_named(checkout):
    with pytest.raises(ValueError, match=r"change model\.gem_depth"):
        checkout.choose(load_config("gem_vit-b16_voc20"), {"gem_depth": 3})
    with pytest.raises(ValueError, match="GEM's code sees the whole image, stretched to a square"):
        checkout.choose(load_config("gem_vit-b16_voc20", {"protocol": "unified"}), {})
