"""A random CLIP takes as long as the one in whose place it is."""

import pytest

from mmseg_tfovss.profiling.random_weights.clip import has_quick_gelu, write_random_clip


def test_an_unknown_architecture_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"such as ViT-B-16: it has no architecture 'ViT-Q-16'\."):
        write_random_clip(tmp_path / "clip.pt", "ViT-Q-16")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arch", "pretrained", "more", "wanted"),
    [
        ("ViT-B-16", "openai", {}, True),
        ("ViT-B-16", "laion2b_s34b_b88k", {}, False),
        ("ViT-B-16", "openai", {"quick_gelu": False}, False),
        ("ViT-B-16-quickgelu", "metaclip_fullcc", {}, True),
        ("ViT-B-16", "clip.pt", {}, True),
        ("ViT-B-16", None, {"quick_gelu": None}, True),
    ],
)
def test_the_activation_is_that_of_the_named_weights(arch, pretrained, more, wanted):
    assert has_quick_gelu({"arch": arch, "pretrained": pretrained, **more}) is wanted
