"""The text tower, against open_clip's own encode_text."""

import random

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


@pytest.fixture(scope="module")
def encoder(mini_clip):
    return load_clip("auto", str(mini_clip)).text


def test_tokens_are_counted_however_many_there_are(encoder):
    prompts = ["cat", "", "word " * 75, "word " * 76, "a " * 1000, "word " * 152]
    assert encoder.context_length == 77
    assert encoder.count_tokens(prompts) == [3, 2, 77, 78, 1002, 154]
    assert encoder.count_tokens([]) == []


def test_counts_equal_the_tokenizers_own(encoder):
    own = open_clip.get_tokenizer("ViT-B-16")
    draw = random.Random(0)
    words = ["cat", "zebra", "Köln", "犬", "!!!", "3.14", "antidisestablishmentarianism", "🦓", "'s", "&amp;"]
    prompts = [" ".join(draw.choices(words, k=draw.randrange(120))) for _ in range(60)]
    expected = [len(own.encode(prompt)) + 2 for prompt in prompts]
    assert min(expected) < 20
    assert max(expected) > 200
    assert encoder.count_tokens(prompts) == expected
    for prompt, count in zip(prompts, expected, strict=True):
        if count > 77:
            with pytest.raises(ValueError, match=f"has {count} tokens"):
                encoder([prompt])
        else:
            assert encoder([prompt]).isfinite().all()


def test_prompts_that_would_be_cut_are_refused(encoder):
    assert encoder(["word " * 75]).shape == (1, 32)
    first, second = (f"a photo of {'very ' * 75}{end}" for end in ("small cat", "large dog"))
    message = r"^The prompt 'a photo of very very .*\.\.\.' has 82 tokens, but CLIP reads only 77: use fewer words\.$"
    for prompts in ([first], ["cat", second]):
        with pytest.raises(ValueError, match=message):
            encoder(prompts)


def test_a_shorter_context_counts_too(mini_state, tmp_path):
    torch.save(mini_state | {"positional_embedding": mini_state["positional_embedding"][:9].clone()}, tmp_path / "c.pt")
    short = load_clip("auto", str(tmp_path / "c.pt"), quick_gelu=True).text
    assert short.context_length == 9
    assert short(["one two three four five six seven"]).shape == (1, 32)
    with pytest.raises(ValueError, match="has 10 tokens, but CLIP reads only 9"):
        short(["one two three four five six seven eight"])


def test_words_that_end_the_prompt_are_refused(encoder):
    """CLIP would read nothing behind them."""
    with pytest.raises(ValueError, match=r"The prompt 'a dog <end_of_text> and a cat' holds CLIP's end-of-text token"):
        encoder(["cat", "a dog <end_of_text> and a cat"])
    assert encoder.count_tokens(["a dog <end_of_text> and a cat"]) == [8]
