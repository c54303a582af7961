"""The text tower, against open_clip's own encode_text."""

import open_clip
import pytest
import torch

from mmseg_tfovss.encoders.text import CLIPTextEncoder
from mmseg_tfovss.encoders.weights import load_clip

PROMPTS = [
    "cat",
    "",
    "a photo of a cat.",
    "a black and white photo of the television monitor, seen from far away in a very bright room.",
    "word " * 75,
]


@torch.inference_mode()
def test_equals_open_clips_text_features(reference_clip, mini_clip):
    reference, quick_gelu = reference_clip
    expected = reference.encode_text(open_clip.tokenize(PROMPTS))
    found = load_clip("auto", str(mini_clip), quick_gelu=quick_gelu).text(PROMPTS)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_feature_does_not_depend_on_the_batch(count, mini_clip):
    encoder = load_clip("auto", str(mini_clip)).text
    torch.testing.assert_close(encoder(PROMPTS[:count]), encoder(PROMPTS)[:count], atol=1e-5, rtol=0)


def test_batches_are_cut_to_their_longest_prompt(reference_clip, monkeypatch):
    encoder = CLIPTextEncoder(reference_clip[0], open_clip.tokenize)
    lengths = []
    encoder.ln_final.register_forward_hook(lambda _, inputs, __: lengths.append(inputs[0].shape[1]))
    encoder(["cat", "a red cup"])
    encoder(PROMPTS[-1:])
    encoder.ln_final._forward_hooks.clear()
    assert lengths == [5, 77]  # start, a, red, cup, end; the whole context


def test_is_frozen(mini_clip):
    encoder = load_clip("auto", str(mini_clip)).text
    assert not encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
