"""Random weights for both sides, and words that are not all alike."""

import pytest
import torch

from mmseg_tfovss.profiling.benchmark import make_noise_image, use_random_text
from mmseg_tfovss.profiling.official.weights import words_from_patches, words_from_windows, write_random_clip


def test_words_are_those_of_patches(build_method):
    model = build_method("SCLIP")
    image = torch.randn(3, 48, 32, generator=torch.Generator().manual_seed(0))
    words = words_from_patches(model, image)
    assert words.shape == (len(model.decode_head.query_class), model.backbone.proj.shape[1])
    torch.testing.assert_close(words.norm(dim=1), torch.ones(len(words)))
    patches = model.extract_feat(image[None])[0].flatten(1).T
    assert torch.cosine_similarity(words[0], patches[0], dim=0) > 0.95


def test_words_of_a_method_that_needs_more_come_from_its_windows(build_method, tmp_path):
    model = build_method("SCLIP")
    use_random_text(model)
    words = words_from_windows(model, make_noise_image(tmp_path / "noise.jpg", (48, 64)))
    assert words.shape == (len(model.decode_head.query_class), model.backbone.proj.shape[1])
    torch.testing.assert_close(words.norm(dim=1), torch.ones(len(words)))
    assert (words[0] - words[-1]).norm() > 0.1
    assert not model.decode_head._forward_pre_hooks


def test_an_unknown_architecture_is_named(tmp_path):
    with pytest.raises(ValueError, match="open_clip has no architecture 'ViT-Q-16'"):
        write_random_clip(tmp_path / "clip.pt", "ViT-Q-16")
