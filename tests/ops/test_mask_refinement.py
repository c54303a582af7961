"""Labels refined by masks: all class maps at once against one class at a time, and what is dropped or left alone."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.ops.canvas import PixelCanvas
from mmseg_tfovss.ops.connected import find_regions
from mmseg_tfovss.ops.mask_refinement import MaskRefinement, halved, resized
from mmseg_tfovss.ops.probabilities import ClassProbabilities

SIZE, CLASSES, SIDE = (25, 33), 3, 16
SETTINGS = MaskRefinement(coarse_thresh=0.4, minimal_area=6, sam_iou_thresh=0.7)


@pytest.fixture
def logits():
    coarse = torch.randn(1, CLASSES, 4, 5, generator=torch.Generator().manual_seed(1))
    return F.interpolate(coarse, size=SIZE, mode="bilinear")[0]


class Painter:
    """Draws for every region a box with soft edges, and predicts an IoU of its choice."""

    def __init__(self, *, iou=lambda index: 1.0, grow=1.0):
        self.iou, self.grow, self.prompts, self.drawn = iou, grow, [], []

    def __call__(self, regions, prompt):
        self.prompts.append(prompt)
        for box in regions.boxes.split(1):
            left, top, right, bottom = (2 * box[0]).tolist()
            rows, columns = torch.arange(SIZE[0])[:, None], torch.arange(SIZE[1])
            inside = torch.minimum(
                torch.minimum(rows - top, bottom + 1 - rows), torch.minimum(columns - left, right + 1 - columns)
            )
            mask = (inside + self.grow) * 0.5
            iou = self.iou(len(self.drawn))
            self.drawn.append((mask, iou))
            yield mask[None], torch.tensor([iou])


def refine(logits, painter, settings=SETTINGS, *, failed_keep=False):
    probabilities = ClassProbabilities(PixelCanvas(logits), torch.arange(CLASSES), 4.0)
    labels = logits.argmax(dim=0)
    return settings.refine(labels, probabilities, painter, SIDE, failed_keep=failed_keep)


def reference(logits, painter, settings=SETTINGS, *, failed_keep=False):
    """The same with all maps of all classes at full size; the painter has drawn already, in the same order."""
    softmax, labels = (4.0 * logits).softmax(dim=0), logits.argmax(dim=0)
    half = halved(SIZE)
    halves = F.interpolate(softmax[None], size=half, mode="bilinear")[0]
    coarse = F.interpolate(labels[None, None].float(), size=half, mode="nearest")[0, 0].long()
    coarse[halves.amax(dim=0) < settings.coarse_thresh] = -1
    maps, union = torch.zeros(CLASSES, *SIZE), torch.zeros(CLASSES, *SIZE, dtype=torch.bool)
    failed, drawn = torch.zeros(half, dtype=torch.bool), iter(painter.drawn)
    for number in range(CLASSES):
        if halves[number].max() < settings.coarse_thresh:
            continue
        for region in find_regions(coarse == number, halves[number], settings.minimal_area).masks:
            mask, iou = next(drawn)
            if iou > settings.sam_iou_thresh:
                maps[number] = torch.maximum(maps[number], mask.sigmoid() * softmax[number])
                union[number] |= mask > 0
            else:
                failed |= region
    assert next(drawn, None) is None
    maps = maps * union
    refined = torch.where(maps.sum(dim=0) == 0, labels, maps.argmax(dim=0))
    if failed_keep:
        where = F.interpolate(failed[None, None].float(), size=SIZE, mode="nearest")[0, 0] > 0
        refined = torch.where(where & (softmax.amax(dim=0) > maps.amax(dim=0)), labels, refined)
    return refined


@pytest.mark.parametrize("failed_keep", [True, False])
@pytest.mark.parametrize("iou", [lambda index: 1.0, lambda index: index % 2], ids=["all kept", "half kept"])
def test_equals_all_classes_at_once(logits, iou, failed_keep):
    painter = Painter(iou=iou, grow=2.0)
    found = refine(logits, painter, failed_keep=failed_keep)
    assert len(painter.drawn) >= 4
    assert torch.equal(found, reference(logits, painter, failed_keep=failed_keep))
    assert not torch.equal(found, logits.argmax(dim=0))


def test_dropped_regions_can_keep_their_labels(logits):
    found = [refine(logits, Painter(iou=lambda index: index % 2, grow=4.0), failed_keep=keep) for keep in (True, False)]
    assert not torch.equal(*found)


@pytest.mark.parametrize(
    "settings",
    [
        MaskRefinement(coarse_thresh=1.0),
        MaskRefinement(coarse_thresh=0.0, minimal_area=1000),
        MaskRefinement(coarse_thresh=0.0, minimal_area=6, sam_iou_thresh=2.0),
    ],
    ids=["nothing is sure", "too small", "no mask is good"],
)
def test_without_masks_labels_stay(logits, settings):
    assert torch.equal(refine(logits, Painter(), settings), logits.argmax(dim=0))


def test_without_a_threshold_every_class_has_regions(logits):
    painter = Painter()
    refine(logits, painter, MaskRefinement(coarse_thresh=0.0, minimal_area=6))
    assert len(painter.prompts) == CLASSES


def test_a_mask_prompt_is_the_class_where_it_is_probable(logits):
    painter = Painter()
    refine(logits, painter)
    prompt = painter.prompts[0]
    assert prompt.shape == (SIDE, SIDE)
    shown = resized(resized((4.0 * logits).softmax(dim=0)[0], halved(SIZE)), (12, SIDE))  # 16 * 25 / 33 = 12.1
    torch.testing.assert_close(prompt[:12], torch.where(shown > 0.4, 0.005 * shown, 0))
    assert 0 < (prompt[:12] == 0).float().mean() < 1
    assert not prompt[12:].any()


@pytest.mark.parametrize(
    ("name", "value"),
    [("coarse_thresh", 1.5), ("minimal_area", 0), ("sam_iou_thresh", -1), ("sam_mask_coff", "0.1")],
)
def test_refuses_settings_out_of_range(name, value):
    with pytest.raises(ValueError, match=rf"model\.{name} must .*{value}"):
        MaskRefinement(**{name: value})
