"""Words that are not all alike."""

import torch

from mmseg_tfovss.profiling.noise_image import make_noise_image
from mmseg_tfovss.profiling.random_weights.text import use_random_text, words_from_patches, words_from_windows


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
