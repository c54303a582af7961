"""One class for each region, with regions made by hand."""

import threading

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_tfovss.methods.region_voting import RegionVoting
from mmseg_tfovss.methods.stages import LOGITS

WHOLE = {"mode": "whole"}


class Halves(RegionVoting):
    """The left and the right half of an image are its regions; a map of ones is behind the logits."""

    def encode(self, windows):
        maps = super().encode(windows)
        return {**maps, "ones": torch.ones_like(maps[LOGITS][:, :1])}

    def find_regions(self, scene, canvases):
        assert bool((canvases["ones"].patches == 1).all())
        assert canvases["ones"].size == scene.size
        height, width = scene.size
        return (torch.arange(width) >= width // 2).long().expand(height, width)


class Nothing(Halves):
    """No regions."""

    def find_regions(self, scene, canvases):
        return None


def images(*sizes):
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(3, *size, generator=draw) for size in sizes]


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
    [assembly] = model.inference([image], [{"ori_shape": (48, 64)}])
    dense = model.dense_logits(assembly)
    assert dense.shape == (model.decode_head.out_channels, 48, 64)
    for half in (slice(32), slice(32, None)):
        best = dense[..., half].mean(dim=(1, 2)).argmax()
        assert voted[:, half].unique().tolist() == [int(model.decode_head.query_class[best])]


def test_windows_are_labelled_pixel_by_pixel(build_method):
    inputs = images((40, 56))
    assert torch.equal(*(labels_of(build_method(kind), inputs)[0] for kind in (Halves, Nothing)))


class Guided(Halves):
    """An oracle that notes its scenes, and makes nothing of their labels."""

    reads_truth = True

    def find_regions(self, scene, canvases):
        self.__dict__.setdefault("noted", []).append(scene)
        return super().find_regions(scene, canvases)


@pytest.mark.parametrize("window_batch", [1, 16])
def test_labels_of_oracles_reach_their_scenes_alone(window_batch, build_method):
    """Images are normalised colours, labels lie beside them, at the size of the network's input."""
    model = build_method(Guided, test_cfg=WHOLE, pamr_steps=1, window_batch=window_batch)
    inputs, truths = images((48, 64), (40, 56)), [torch.zeros(1, 96, 128).long(), torch.full((1, 20, 28), 255)]
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=truth), metainfo={"ori_shape": truth.shape[1:]}) for truth in truths
    ]
    model.predict(inputs, samples)
    scenes = sorted(model.noted, key=lambda scene: scene.size, reverse=True)  # threads have no order
    for scene, image, value in zip(scenes, inputs, (1, 256), strict=True):
        assert torch.equal(scene.image, image)
        assert torch.equal(scene.truth, torch.full(image.shape[1:], float(value)))
    plain = build_method(Halves, test_cfg=WHOLE, pamr_steps=1).predict(
        inputs, [SegDataSample(metainfo=sample.metainfo) for sample in samples]
    )
    for ours, theirs in zip(samples, plain, strict=True):
        assert torch.equal(ours.pred_sem_seg.data, theirs.pred_sem_seg.data)


def test_images_are_labelled_while_the_next_ones_are_encoded(build_method, monkeypatch):
    model, calls = build_method(Halves, test_cfg=WHOLE, window_batch=1), []
    encode, label, second_is_encoded = model.encode, model.label, threading.Event()

    def noted_encode(windows):
        calls.append(windows)
        if len(calls) > 1:
            second_is_encoded.set()
        return encode(windows)

    def patient_label(scene, refined):
        assert second_is_encoded.wait(timeout=30)  # would never come if the images were labelled one by one
        return label(scene, refined)

    inputs = images((48, 64), (40, 56))
    expected = labels_of(model, inputs)
    monkeypatch.setattr(model, "encode", noted_encode)
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
