"""One class for each region, with regions made by hand."""

import threading

import pytest
import torch

from mmseg_tfovss.methods.region_voting import RegionVoting

WHOLE = {"mode": "whole"}


class Halves(RegionVoting):
    """The left and the right half of an image are its regions; a map of ones is behind the logits."""

    def window_maps(self, inputs):
        logits = self.patch_logits(inputs[:, :3])
        return torch.cat([logits, torch.ones_like(logits[:, :1])], dim=1)

    def find_regions(self, logits):
        assert bool((logits.patches[self.decode_head.out_channels] == 1).all())
        height, width = logits.size
        return (torch.arange(width) >= width // 2).long().expand(height, width)


class Nothing(Halves):
    """No regions."""

    def find_regions(self, logits):
        return None


def images(*sizes, channels=3):
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(channels, *size, generator=draw) for size in sizes]


def labels_of(model, inputs):
    return [sample.pred_sem_seg.data[0] for sample in model.predict(inputs)]


def test_most_pixels_decide(build_method):
    inputs = images((48, 64))
    [own] = labels_of(build_method(Nothing, test_cfg=WHOLE), inputs)
    [voted] = labels_of(build_method(Halves, test_cfg=WHOLE), inputs)
    for half in (slice(32), slice(32, None)):
        assert len(own[:, half].unique()) > 1
        assert voted[:, half].unique().tolist() == [int(own[:, half].flatten().bincount().argmax())]


def test_mean_logits_decide(build_method):
    [image] = images((48, 64))
    model = build_method(Halves, test_cfg=WHOLE, voting="mean_logits")
    [voted] = labels_of(model, [image])
    [logits] = model.inference([image], [{"ori_shape": (48, 64)}])
    dense = model.dense_logits(logits)
    assert dense.shape == (model.decode_head.out_channels, 48, 64)
    for half in (slice(32), slice(32, None)):
        best = dense[..., half].mean(dim=(1, 2)).argmax()
        assert voted[:, half].unique().tolist() == [int(model.decode_head.query_class[best])]


def test_windows_are_labelled_pixel_by_pixel(build_method):
    inputs = images((40, 56))
    assert torch.equal(*(labels_of(build_method(kind), inputs)[0] for kind in (Halves, Nothing)))


def test_channels_behind_the_colours_end_with_the_network(build_method):
    [image] = images((48, 64), channels=5)
    model = build_method(Halves, test_cfg=WHOLE, pamr_steps=1)
    [logits] = model.inference([image], [{"ori_shape": (48, 64)}])
    assert torch.equal(logits.image, image[:3])
    assert torch.equal(labels_of(model, [image])[0], labels_of(model, [image[:3]])[0])


def test_images_are_labelled_while_the_next_ones_are_encoded(build_method, monkeypatch):
    model, calls = build_method(Halves, test_cfg=WHOLE, window_batch=1), []
    encode, label, second_is_encoded = model.patch_logits, model.label, threading.Event()

    def noted_encode(inputs):
        calls.append(inputs)
        if len(calls) > 1:
            second_is_encoded.set()
        return encode(inputs)

    def patient_label(logits):
        assert second_is_encoded.wait(timeout=30)  # would never come if the images were labelled one by one
        return label(logits)

    inputs = images((48, 64), (40, 56))
    expected = labels_of(model, inputs)
    monkeypatch.setattr(model, "patch_logits", noted_encode)
    monkeypatch.setattr(model, "label", patient_label)
    assert all(torch.equal(one, two) for one, two in zip(labels_of(model, inputs), expected, strict=True))


def test_voting_follows_the_mode(build_method):
    assert build_method(Halves).voting == "mean_logits"
    assert build_method(Halves, test_cfg=WHOLE).voting == "majority"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"voting": "two"}, r"model\.voting must be one of \['majority', 'mean_logits'\], but got 'two'"),
        ({"voting": "majority"}, r"model\.voting='majority' needs model\.test_cfg\.mode='whole'"),
        ({"voting": "mean_logits", "test_cfg": WHOLE, "pamr_steps": 1}, r"takes neither PAMR nor an area_threshold"),
    ],
)
def test_votings_that_cannot_be_are_refused(options, message, build_method):
    with pytest.raises(ValueError, match=message):
        build_method(Halves, **options)
