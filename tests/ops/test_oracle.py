"""Ground truth: how it comes to scenes and windows, which label a patch has, and attention within it, by hand."""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_tfovss.encoders import CLIPPreprocessor
from mmseg_tfovss.methods.stages import LOGITS
from mmseg_tfovss.ops.oracle import keep_within_labels, label_map, patch_labels

IMAGE = torch.randint(0, 256, (3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def normalised(image):
    """The image as the network sees it."""
    return CLIPPreprocessor()({"inputs": [image]})["inputs"][0]


def labelled(labels, size=None):
    data = torch.as_tensor(labels)[None]
    return SegDataSample(gt_sem_seg=PixelData(data=data), metainfo={"ori_shape": size or tuple(data.shape[1:])})


def test_labels_count_from_one():
    labels = torch.arange(24).view(1, 4, 6) + 65520  # more than half precision could hold
    image = normalised(IMAGE)
    found = label_map(labels, image)
    assert (found.shape, found.dtype) == ((4, 6), image.dtype)
    assert torch.equal(found.long(), labels[0] + 1)


def test_labels_are_resized_to_the_nearest():
    found = label_map(torch.tensor([[[0, 5, 9], [255, 2, 3]]]), normalised(IMAGE))
    rows = [[1, 1, 6, 6, 10, 10], [256, 256, 3, 3, 4, 4]]
    assert found.tolist() == [rows[0], rows[0], rows[1], rows[1]]


def test_no_labels_are_told():
    with pytest.raises(ValueError, match=r"^model\.recovery='within_ground_truth' is an oracle, for an ablation only"):
        patch_labels(None, 2)


def test_a_patch_has_the_label_of_most_of_its_pixels():
    labels = [[1, 1, 7, 4, 9], [1, 2, 4, 4, 9], [3, 3, 0, 0, 9]]
    truth = torch.tensor(labels)[None].float()
    assert patch_labels(truth, 2).tolist() == [[1, 4]]
    assert patch_labels(truth, 1).tolist() == [torch.tensor(labels).flatten().tolist()]
    assert patch_labels(torch.cat([truth, truth + 1]), 2).tolist() == [[1, 4], [2, 5]]


def oracle(build_method, **settings):
    """A method that reads the truth, and the windows that it is given."""
    given = []
    model = build_method("CLIPtrase", recovery="within_ground_truth", cluster="none", **settings)
    inner = model.encode
    model.encode = lambda windows: given.append(windows) or inner(windows)
    return model, given


@pytest.mark.parametrize("test_cfg", [{"mode": "whole"}, {"mode": "slide", "crop_size": 32, "stride": 16}])
def test_colours_stay_as_they_are_and_labels_come_beside_them(test_cfg, build_method):
    """Each image has its own, resized to what the network sees of it, and so has every window."""
    draw = torch.Generator().manual_seed(1)
    images = [normalised(torch.randint(0, 256, (3, 40, 48), generator=draw, dtype=torch.uint8)) for _ in range(2)]
    labels = [torch.randint(0, 4, size, generator=draw) for size in ((20, 24), (40, 48))]
    samples = [labelled(own) for own in labels]
    model, given = oracle(build_method, test_cfg=test_cfg)
    assemblies = model.inference_of(images, samples)
    windows_of = [[], []]
    for windows in given:
        assert windows.truth.shape == (len(windows.images), *windows.images.shape[2:])
        for number, scene in enumerate(windows.scenes):
            index = next(index for index in (0, 1) if scene.image is images[index])
            windows_of[index].append((windows.images[number], windows.truth[number]))
    for index, assembly in enumerate(assemblies):
        scene, expected = assembly.scene, label_map(labels[index][None], images[index])
        assert torch.equal(scene.image, images[index])
        assert torch.equal(scene.truth, expected)
        corners = [(0, 0)] if model.mode == "whole" else [(top, left) for top in (0, 8) for left in (0, 16)]
        side = (40, 48) if model.mode == "whole" else (32, 32)
        for (image, truth), (top, left) in zip(windows_of[index], corners, strict=True):
            cut = (slice(top, top + side[0]), slice(left, left + side[1]))
            assert torch.equal(image, images[index][:, *cut])
            assert torch.equal(truth, expected[cut])


def test_padding_has_no_label(build_method):
    """Label 0 is 1 here, so that 0 is left for what is no image."""
    model, given = oracle(build_method, test_cfg={"mode": "slide", "crop_size": 28, "stride": 28}, pad_to=32)
    model.inference_of([normalised(torch.zeros(3, 28, 28, dtype=torch.uint8))], [labelled(torch.zeros(28, 28).long())])
    expected = torch.zeros(32, 32)
    expected[2:30, 2:30] = 1
    assert torch.equal(given[0].truth[0], expected)


@pytest.mark.parametrize("samples", ["without labels", "none at all"])
def test_images_without_labels_bring_none(samples, build_method):
    image = normalised(torch.zeros(3, 32, 32, dtype=torch.uint8))
    given = [SegDataSample(metainfo={"ori_shape": (32, 32)})] if samples == "without labels" else None
    model, seen = oracle(build_method, test_cfg={"mode": "whole"})
    with pytest.raises(ValueError, match=r"^model\.recovery='within_ground_truth' is an oracle, for an ablation only"):
        model.predict([image], given)
    assert seen[0].truth is None
    assert seen[0].scenes[0].truth is None


def test_methods_that_are_honest_get_no_labels(build_method):
    model = build_method("SCLIP", test_cfg={"mode": "whole"})
    image = normalised(torch.zeros(3, 32, 32, dtype=torch.uint8))
    [found] = model.inference_of([image], [labelled(torch.ones(32, 32).long())])
    assert not model.reads_truth
    assert found.scene.truth is None
    assert set(found.canvases) == {LOGITS}


def test_patches_attend_within_their_label_and_the_class_token_to_all():
    scores = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(0))
    found = keep_within_labels(scores, torch.tensor([[7, 3, 7], [255, 255, 255]]))
    allowed = torch.tensor(
        [
            [[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 1, 0], [0, 1, 0, 1]],
            [[1, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1]],
        ]
    ).bool()
    assert torch.equal(found[allowed], scores[allowed])
    assert bool((found[~allowed] == -torch.inf).all())
