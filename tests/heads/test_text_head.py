"""The text head: ranges, features as a buffer, cosines."""

import pytest
import torch
from torch import nn

from mmseg_tfovss.encoders.weights import load_clip
from mmseg_tfovss.heads import TextHead
from mmseg_tfovss.registry import MODELS


class Letters(nn.Module):
    """A text tower of three counts of letters; like CLIP's, it works in inference mode."""

    variant, context_length = "letters", 77

    def count_tokens(self, prompts):
        return [len(prompt.split()) + 2 for prompt in prompts]

    @torch.inference_mode()
    def forward(self, prompts):
        return torch.tensor([[p.count("a"), p.count("o"), len(p)] for p in prompts], dtype=torch.float32)


def with_features(words_file, tmp_path, **kwargs):
    head = TextHead(str(words_file), templates="plain", cache_dir=str(tmp_path), **kwargs)
    head.set_text_features(Letters(), "letters")
    return head


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"logit_scale": 0.0}, r"model\.decode_head\.logit_scale must lie in \[0\.001, 1e\+06\], but got 0\.0"),
        ({"logit_scale": -1}, r"logit_scale must lie in .*, but got -1"),
        ({"logit_scale": float("nan")}, r"logit_scale must lie in .*, but got nan"),
        ({"prob_threshold": 1.5}, r"model\.decode_head\.prob_threshold must lie in \[0, 1\], but got 1\.5"),
        ({"prob_threshold": -0.1}, r"prob_threshold must lie in \[0, 1\], but got -0\.1"),
        ({"area_threshold": 2}, r"model\.decode_head\.area_threshold must lie in \[0, 1\], but got 2"),
        ({"area_threshold": -0.1}, r"area_threshold must lie in \[0, 1\], but got -0\.1"),
        ({"vocabulary": "voc12"}, r"Unknown vocabulary 'voc12'\. Did you mean"),
        ({"templates": "imagenet81"}, r"Unknown template set 'imagenet81'\. Did you mean imagenet8"),
        ({"logit_scale": "high"}, r"logit_scale must lie in .*, but got 'high'"),
        ({"vocabulary": "voc20", "prob_threshold": "low"}, r"prob_threshold must lie in .*, but got 'low'"),
        ({"prob_threshold": "low"}, r"prob_threshold must lie in .*, but got 'low'"),
        ({"logit_scale": float("inf")}, r"logit_scale must lie in .*, but got inf"),
    ],
)
def test_settings_out_of_range_are_named(options, message, words_file):
    with pytest.raises(ValueError, match=message):
        TextHead(**{"vocabulary": str(words_file), **options})


@pytest.mark.parametrize("option", ["prob_threshold", "area_threshold"])
def test_a_bundled_list_without_background_takes_no_threshold(option):
    message = (
        rf"model\.decode_head\.{option}=0\.3 makes class 0 the background, but class 0 of voc20 is \"aeroplane\","
        r" and that list has no background: set it to 0, or .*model\.decode_head\.background=.*sclip"
    )
    with pytest.raises(ValueError, match=message):
        TextHead("voc20", **{option: 0.3})
    head = TextHead("voc20")
    with pytest.raises(ValueError, match=message):  # as sweeps set it
        setattr(head, option, 0.3)
    assert getattr(head, option) == 0.0


@pytest.mark.parametrize("option", ["prob_threshold", "area_threshold"])
def test_other_lists_take_thresholds(option, words_file):
    """With background words, with a background of their own, or of the user."""
    for settings in ({"background": "sclip"}, {"vocabulary": "voc21"}, {"vocabulary": str(words_file)}):
        head = TextHead(**{"vocabulary": "voc20", **settings, option: 0.3})
        assert getattr(head, option) == 0.3
        setattr(head, option, None)
        assert getattr(head, option) == 0.0


def test_a_prompt_that_would_be_cut_is_refused_though_its_features_are_cached(mini_clip, tmp_path):
    words = tmp_path / "long.txt"
    long = " and ".join(["a round thing that lies in the field"] * 12)
    words.write_text(f"# synonyms: none\n{long} and is an apple\n{long} and is a banana\n")
    loaded = load_clip("auto", str(mini_clip))
    head = TextHead(str(words), templates="photo", cache_dir=str(tmp_path / "cache"))
    with pytest.raises(
        ValueError, match=r"\(line 2 of .*long\.txt\) makes \d+ tokens in the prompt .*reads 77: shorten"
    ):
        head.set_text_features(loaded.text, loaded.weights_hash)
    assert not head.ready
    assert not (tmp_path / "cache").exists()
    cached = torch.ones(2, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmseg_tfovss.heads.text_head.cached_features", lambda *_: cached)
        with pytest.raises(ValueError, match="shorten"):
            head.set_text_features(loaded.text, loaded.weights_hash)


def test_is_registered_and_tells_mmseg_its_sizes(words_file):
    head = MODELS.build({"type": "TextHead", "vocabulary": str(words_file), "area_threshold": None})
    assert (head.num_classes, head.out_channels, head.align_corners) == (4, 7, False)
    assert head.query_class.tolist() == [0, 0, 1, 2, 2, 2, 3]
    assert head.area_threshold == 0.0


def test_background_adds_a_class_in_front(words_file):
    head = TextHead(str(words_file), background=["wall", "road", "sand"])
    assert (head.num_classes, head.out_channels) == (5, 10)
    assert head.query_class.tolist() == [0, 0, 0, 1, 1, 2, 3, 3, 3, 4]


def test_is_ready_once_features_are_set(words_file, tmp_path):
    head = TextHead(str(words_file), templates="plain", cache_dir=str(tmp_path))
    assert not head.ready
    head.set_text_features(Letters(), "letters")
    assert head.ready
    expected = nn.functional.normalize(Letters()(["sky", "cloud", "cat", "cup", "mug", "beaker", "flower"]))
    torch.testing.assert_close(head.text_features, expected)
    assert len(list(tmp_path.iterdir())) == 1


def test_features_set_in_inference_mode_are_ordinary_tensors(words_file, tmp_path):
    head = TextHead(str(words_file), templates="plain", cache_dir=str(tmp_path))
    with torch.inference_mode():
        head.set_text_features(Letters(), "letters")
    assert not head.text_features.is_inference()


def test_features_and_ids_follow_to(words_file, tmp_path):
    head = with_features(words_file, tmp_path)
    assert {"text_features", "query_class"} <= dict(head.named_buffers()).keys()
    assert head.double().text_features.dtype == torch.float64
    moved = head.to("meta")
    assert moved.text_features.device.type == moved.query_class.device.type == "meta"


@pytest.mark.parametrize("text", ["", "a photo"])
def test_a_subtracted_text_is_taken_off_every_query(text, words_file, tmp_path):
    plain, found = (with_features(words_file, tmp_path, subtracted_text=one) for one in (None, text))
    encoder = Letters()
    taken = nn.functional.normalize(encoder([text]), dim=-1)
    torch.testing.assert_close(found.text_features, plain.text_features - taken)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_subtracted_text_is_a_text(words_file):
    with pytest.raises(ValueError, match=r"model\.decode_head\.subtracted_text must be a text or None, but got True"):
        TextHead(str(words_file), subtracted_text=True)


def test_forward_gives_cosines(words_file, tmp_path):
    head = with_features(words_file, tmp_path)
    features = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    found = head(features)
    assert found.shape == (2, 7, 4, 5)
    for y in range(4):
        for x in range(5):
            expected = torch.cosine_similarity(features[1, :, y, x][None], head.text_features)
            torch.testing.assert_close(found[1, :, y, x], expected)
    torch.testing.assert_close(head(10 * features), found)


def test_forward_keeps_the_dtype_of_the_features(words_file, tmp_path):
    head = with_features(words_file, tmp_path)
    assert head(torch.ones(1, 3, 2, 2, dtype=torch.float64)).dtype == torch.float64


def test_changed_vocabulary_changes_the_cache_entry(words_file, tmp_path):
    with_features(words_file, tmp_path)
    with_features(words_file, tmp_path, background=["wall"])
    assert len(list(tmp_path.iterdir())) == 2


def test_cached_features_of_another_activation_are_not_reused(mini_clip, words_file, tmp_path):
    features = []
    for quick_gelu in (True, False):
        head = TextHead(str(words_file), templates="photo", cache_dir=str(tmp_path))
        loaded = load_clip("auto", str(mini_clip), quick_gelu=quick_gelu)
        head.set_text_features(loaded.text, loaded.weights_hash)
        features.append(head.text_features)
    assert (features[0] - features[1]).abs().max() > 1e-4


def test_bundled_background_words_become_class_0():
    head = TextHead("voc20", background="sclip")
    assert head.vocabulary.classes == TextHead("voc21").vocabulary.classes
