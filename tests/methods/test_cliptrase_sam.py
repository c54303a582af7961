"""CLIPtrase + SAM: what SAM is asked, and what becomes of its answers."""

import copy
from pathlib import Path
from threading import current_thread

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from torch import nn

from mmseg_tfovss.config import check_settings, load_config
from mmseg_tfovss.encoders.sam import SAM
from mmseg_tfovss.methods.cliptrase import LOCAL, ROWS, CLIPtrase
from mmseg_tfovss.methods.cliptrase_sam import CLIPtraseSAM
from mmseg_tfovss.methods.stages import LOGITS, Assembly, Scene
from mmseg_tfovss.ops.canvas import PatchCanvas
from mmseg_tfovss.ops.labels import label_pixels, majority
from mmseg_tfovss.ops.windows import interpolation_matrix
from mmseg_tfovss.registry import MODELS
from tests.encoders.test_sam import write_tiny_sam
from tests.methods.test_base import dense_and_labels, random_images, samples

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "cliptrase_sam").glob("*.py"))
BENCHMARKS = ["voc21", "voc20", "context60", "context59", "coco_object", "coco_stuff164k", "ade20k", "pc459", "ade847"]
WHOLE = {"mode": "whole"}
PATCH = 8


@pytest.fixture(scope="module")
def tiny_sam(tmp_path_factory):
    return write_tiny_sam(tmp_path_factory.mktemp("sam"))


@pytest.fixture(scope="module")
def model(build_method, tiny_sam):
    """On random images, the mini CLIP's patches then fall into some clusters and noise."""
    sam = {"type": "SAM", "pretrained": str(tiny_sam)}
    model = build_method("CLIPtraseSAM", test_cfg=WHOLE, eps=0.9, min_samples=2, sam=sam)
    model.prepare()
    return model


@pytest.fixture
def change(model, monkeypatch):
    """Change the model for one test: ``change(eps=0.5)``."""

    def change(**attributes):
        for name, value in attributes.items():
            monkeypatch.setattr(model, name, value)

    return change


class FakeSAM(nn.Module):
    """Answers with given masks, two at a time, and keeps what it was asked."""

    def __init__(self, answers):
        super().__init__()
        self.answers, self.asked = answers, []

    def masks(self, image, points, labels, size):
        self.asked.append((image, points, labels, size))
        assert len(labels) == len(self.answers)
        assert self.answers.shape[1:] == size
        return iter(self.answers.split(2))


@pytest.fixture
def find(model, change, monkeypatch):
    """What becomes of an image whose patches have given clusters: its pixels, maps, regions, and SAM's questions."""

    def find(clusters, grid, size=None, masks=None):
        clusters = torch.tensor(clusters)
        in_size = (grid[0] * PATCH, grid[1] * PATCH)
        size = size or in_size
        fake = FakeSAM(torch.full((int(clusters.max()) + 1, *size), -1.0) if masks is None else masks)
        change(clusters=lambda maps: clusters)
        monkeypatch.setitem(model._modules, "sam", fake)
        draw = torch.Generator().manual_seed(0)
        maps = torch.randn(model.decode_head.out_channels + len(clusters) + 1, *grid, generator=draw)
        rows, columns = (interpolation_matrix(one, other).float() for one, other in zip(grid, size, strict=True))
        image = torch.randint(0, 256, (3, *in_size), generator=draw)
        normalised = (image - model.data_preprocessor.mean) / model.data_preprocessor.std
        parts = maps.split([model.decode_head.out_channels, len(clusters), 1])
        canvases = {
            name: PatchCanvas(part, rows, columns, even=True)
            for name, part in zip((LOGITS, ROWS, LOCAL), parts, strict=True)
        }
        scene = Scene(normalised, size)
        return image, Assembly(scene, canvases), model.find_regions(scene, canvases), fake.asked

    return find


def scenes(*sizes):
    """Blocks of colours: patches of one block are alike."""
    draw = torch.Generator().manual_seed(5)
    blocks = [torch.randint(0, 256, (1, 3, 2, 2), generator=draw).float() for _ in sizes]
    noise = random_images(*sizes)
    flat = [F.interpolate(block, size=size)[0] for block, size in zip(blocks, sizes, strict=True)]
    return [(0.6 * one + 0.4 * other).to(torch.uint8) for one, other in zip(flat, noise, strict=True)]


def assembled(model, image):
    """What regions are found in, of an image that keeps its size."""
    with torch.inference_mode():
        data = model.data_preprocessor({"inputs": [image]})["inputs"]
        return model.inference(data, [{"ori_shape": image.shape[1:]}])[0]


def regions_of(model, assembly):
    return model.find_regions(assembly.scene, assembly.canvases)


def prototypes_regions(model, assembly, clusters):
    """CLIPtrase's regions of the same patches."""
    rows = assembly.canvases[ROWS].patches
    return CLIPtrase.draw_regions(model, torch.tensor(clusters), rows, assembly.scene)


# -- what SAM is asked --------------------------------------------------------------------------------------------


def test_every_cluster_asks_with_its_patches_against_those_of_all_others(find):
    """A 2x3 grid, columns first in a point, noise left out: the whole prompt, written out."""
    _, _, _, [(_, points, labels, _)] = find([0, 1, -1, 2, 0, 1], (2, 3))
    found = {
        (*point, cluster): label
        for cluster, row in enumerate(labels.tolist())
        for point, label in zip(points.tolist(), row, strict=True)
    }
    cluster_of = {(3.5, 3.5): 0, (11.5, 3.5): 1, (3.5, 11.5): 2, (11.5, 11.5): 0, (19.5, 11.5): 1}
    assert found == {(*point, k): int(own == k) for point, own in cluster_of.items() for k in range(3)}


def test_points_lie_in_the_middle_of_their_patches(model):
    grid = (5, 7)
    clusters = torch.arange(35) % 4 - 1
    points, labels = model.prompts(clusters, grid)
    assert points.shape == (int((clusters >= 0).sum()), 2)
    assert len(points.unique(dim=0)) == len(points)
    columns, rows = (points / PATCH).floor().long().unbind(dim=1)
    assert int(columns.max()) == 6
    assert int(rows.max()) == 4
    assert torch.equal(labels.argmax(dim=0), clusters[rows * grid[1] + columns])
    assert torch.equal(points % PATCH, torch.full_like(points, (PATCH - 1) / 2))


def test_each_prompt_has_only_its_own_points_positive_and_all_others_background(model):
    clusters = torch.randint(-1, 5, (48,), generator=torch.Generator().manual_seed(3))
    _, labels = model.prompts(clusters, (6, 8))
    assert set(labels.flatten().tolist()) == {0, 1}
    assert labels.shape == (5, int((clusters >= 0).sum()))
    assert torch.equal(labels.sum(dim=0), torch.ones(labels.shape[1], dtype=torch.int64))
    assert labels.sum(dim=1).tolist() == torch.bincount(clusters[clusters >= 0]).tolist()


def test_background_points_change_the_regions(model, monkeypatch):
    """On a real network: with the other clusters' points left out, SAM finds something else."""
    assembly = assembled(model, random_images((48, 64))[0])
    regions = regions_of(model, assembly)
    inner, left_out = model.sam.masks, []

    def without_background(image, points, labels, size):
        left_out.append(int((labels == 0).sum()))
        return inner(image, points, labels.masked_fill(labels == 0, -10), size)

    monkeypatch.setattr(model.sam, "masks", without_background)
    assert (regions_of(model, assembly) != regions).float().mean() > 0.02
    assert left_out[0] > 0


@pytest.mark.parametrize(("size", "limit", "expected"), [(5, 2, [1, 3]), (6, 3, [1, 3, 5]), (4, 4, [0, 1, 2, 3])])
def test_points_of_large_clusters_are_spread(size, limit, expected, model, change):
    change(max_points=limit)
    clusters = torch.tensor([0] * size + [1, 1] + [-1] * (10 - size))
    points, labels = model.prompts(clusters, (1, 12))
    columns = ((points[:, 0] - 3.5) / PATCH).long()
    assert columns.tolist() == [*expected, size, size + 1]
    assert labels.sum(dim=1).tolist() == [len(expected), 2]


def test_sam_sees_the_image_before_normalisation_and_is_asked_for_the_original_size(find):
    image, _, _, [(seen, _, _, size)] = find([0, 1] * 6, (3, 4), size=(50, 71))
    torch.testing.assert_close(seen, image.float(), atol=1e-3, rtol=0)
    assert size == (50, 71)


def test_colours_reach_sam_as_rgb(model, monkeypatch):
    seen, inner = [], model.sam.masks
    monkeypatch.setattr(model.sam, "masks", lambda image, *args: seen.append(image) or inner(image, *args))
    [bgr] = random_images((48, 40))
    model.test_step({"inputs": [bgr], "data_samples": samples((48, 40))})
    torch.testing.assert_close(seen[0], bgr.flip(0).float(), atol=1e-3, rtol=0)


# -- what becomes of the masks ------------------------------------------------------------------------------------


def test_regions_are_the_highest_masks_and_prototypes_elsewhere(model, find):
    masks = torch.full((3, 16, 24), -2.0)
    masks[0, :6, :9] = 1.0
    masks[1, 3:10, 5:20] = 0.5  # below mask 0 where both are
    masks[2, 8:14, 2:12] = 3.0  # above mask 1 where both are, and in the second batch of masks
    _, assembly, regions, _ = find([0, 1, 2, 2, 1, 0], (2, 3), masks=masks)
    elsewhere = prototypes_regions(model, assembly, [0, 1, 2, 2, 1, 0])
    expected = elsewhere.clone()
    expected[3:10, 5:20] = 1
    expected[:6, :9] = 0
    expected[8:14, 2:12] = 2
    assert torch.equal(regions, expected)
    assert len(elsewhere[(masks <= 0).all(dim=0)].unique()) > 1
    assert not torch.equal(regions, elsewhere)


def test_two_clusters_with_hand_made_masks_vote(model, find):
    """Each mask takes the class that most of its pixels have."""
    masks = torch.stack([torch.full((32, 48), -1.0), torch.full((32, 48), 1.0)])
    masks[:, 5:19, 11:30] *= -1
    _, assembly, regions, _ = find([0] * 12 + [1] * 12, (4, 6), masks=masks)
    expected = torch.ones(32, 48, dtype=torch.int64)
    expected[5:19, 11:30] = 0
    assert torch.equal(regions, expected)
    head = model.decode_head
    own = label_pixels(assembly.canvases[LOGITS], head.query_class, logit_scale=head.logit_scale)
    assert len(own.unique()) > 1
    assert torch.equal(model.labels_of(assembly), majority(own, expected, head.num_classes))


def test_a_logit_of_zero_claims_nothing(model, find):
    masks = torch.zeros(2, 16, 24)
    masks[:, :4] = torch.nan
    _, assembly, regions, _ = find([0, 1, 0, 1, 1, 0], (2, 3), masks=masks)
    assert torch.equal(regions, prototypes_regions(model, assembly, [0, 1, 0, 1, 1, 0]))


def test_one_cluster_is_one_region(find):
    _, _, regions, [(_, points, labels, _)] = find([0, -1, 0, 0, 0, 0], (2, 3))
    assert len(points) == 5
    assert torch.equal(labels, torch.ones(1, 5, dtype=torch.int64))
    assert torch.equal(regions, torch.zeros(16, 24, dtype=torch.int64))


def test_without_a_cluster_sam_is_not_asked(find):
    _, _, regions, questions = find([-1] * 6, (2, 3))
    assert regions is None
    assert questions == []


def test_without_a_cluster_pixels_keep_their_labels(model, change):
    change(min_samples=1000)
    image, size = random_images((48, 40)), [(60, 50)]
    [(_, labels)] = dense_and_labels(model, image, size)
    change(cluster="none")
    [(_, own)] = dense_and_labels(model, image, size)
    assert torch.equal(labels, own)
    assert len(own.unique()) > 1


def test_every_patch_its_own_cluster(model, change, monkeypatch):
    change(eps=1e-6, min_samples=1)
    monkeypatch.setattr(model.sam, "prompt_batch", 7)
    seen, inner = [], model.sam.masks
    monkeypatch.setattr(model.sam, "masks", lambda *args: seen.append(args) or inner(*args))
    labels = model.labels_of(assembled(model, random_images((32, 40))[0]))
    [(_, points, prompt_labels, _)] = seen
    assert points.shape == (20, 2)
    assert torch.equal(prompt_labels, torch.eye(20, dtype=torch.int64))
    assert labels.shape == (32, 40)
    assert len(labels.unique()) > 1


# -- the whole ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("voting", ["majority", "mean_logits"])
def test_batch_of_two_equals_two_singles(voting, model, change):
    change(voting=voting, eps=1e-6, min_samples=1)  # many regions: one class in all of them would say little
    images, sizes = random_images((48, 40), (33, 71), seed=2), [(60, 50), (33, 71)]
    both = dense_and_labels(model, images, sizes)
    for (dense, labels), image, size in zip(both, images, sizes, strict=True):
        [(dense_single, labels_single)] = dense_and_labels(model, [image], [size])
        assert labels.shape == size
        assert len(labels.unique()) > 1
        torch.testing.assert_close(dense, dense_single, atol=2e-6, rtol=0)
        assert torch.equal(labels, labels_single)


def test_images_are_labelled_one_after_the_other(model, monkeypatch):
    threads, inner = set(), model.sam.masks
    monkeypatch.setattr(model.sam, "masks", lambda *args: threads.add(current_thread()) or inner(*args))
    dense_and_labels(model, random_images((48, 40), (33, 71)), [(48, 40), (33, 71)])
    assert threads == {current_thread()}


def test_labels_follow_sam_and_logits_do_not(model, monkeypatch):
    image, size = scenes((48, 64)), [(48, 64)]
    [(dense, labels)] = dense_and_labels(model, image, size)
    monkeypatch.setattr(CLIPtraseSAM, "draw_regions", CLIPtrase.draw_regions)
    [(plain_dense, plain_labels)] = dense_and_labels(model, image, size)
    torch.testing.assert_close(dense, plain_dense, atol=0, rtol=0)
    assert not torch.equal(labels, plain_labels)


@pytest.mark.parametrize("prompt_batch", [1, 3])
def test_prompt_batch_changes_nothing(prompt_batch, model, monkeypatch):
    assembly = assembled(model, random_images((48, 64))[0])
    expected = regions_of(model, assembly)
    assert len(expected.unique()) > 3
    monkeypatch.setattr(model.sam, "prompt_batch", prompt_batch)
    assert torch.equal(regions_of(model, assembly), expected)


def test_patches_are_clustered_once(model, monkeypatch):
    calls, cluster = [], model.clusters
    monkeypatch.setattr(model, "clusters", lambda maps: calls.append(maps) or cluster(maps))
    assert regions_of(model, assembled(model, random_images((48, 64))[0])) is not None
    assert len(calls) == 1


def test_is_frozen(model):
    assert model.networks() == {"backbone": model.backbone, "sam": model.sam}
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not any(module.training for module in model.modules())


def test_sam_moves_with_the_method(model):
    moved = copy.deepcopy(model).to("meta")
    assert {parameter.device.type for parameter in moved.sam.parameters()} == {"meta"}
    assert moved.sam.mean.device.type == "meta"


def test_builds_whatever_the_default_scope(mini_clip, words_file, tiny_sam):
    with DefaultScope.overwrite_default_scope("mmseg"):
        model = CLIPtraseSAM(
            backbone={"type": "CLIPImageEncoder", "arch": "auto", "pretrained": str(mini_clip)},
            decode_head={"type": "TextHead", "vocabulary": str(words_file)},
            test_cfg=WHOLE,
            sam={"type": "SAM", "pretrained": str(tiny_sam)},
        )
    assert isinstance(model.sam, SAM)


# -- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cluster": "none"}, r"model\.cluster must be one of \['rows', 'features'\], but got 'none'"),
        ({"max_points": 0}, r"model\.max_points must be at least 1 or None, but got 0"),
        ({"max_points": 1.5}, r"model\.max_points must be at least 1 or None, but got 1\.5"),
    ],
)
def test_settings_out_of_range_are_named(options, message, build_method):
    """Before SAM is looked for."""
    with pytest.raises(ValueError, match=message):
        build_method("CLIPtraseSAM", test_cfg=WHOLE, sam={"type": "SAM", "pretrained": "/nowhere"}, **options)


def test_sliding_windows_are_refused(build_method):
    with pytest.raises(ValueError, match=r"model\.test_cfg\.mode must be 'whole', but got 'slide': CLIPtrase"):
        build_method("CLIPtraseSAM", sam={"type": "SAM", "pretrained": "/nowhere"})


def test_without_sam_that_is_said(build_method):
    with pytest.raises(ValueError, match=r"model\.sam"):
        build_method("CLIPtraseSAM", test_cfg=WHOLE, sam=None)


def test_missing_weights_are_named(build_method):
    with pytest.raises(FileNotFoundError, match=r"^Folder /nowhere not found: set model\.sam\.pretrained"):
        build_method("CLIPtraseSAM", test_cfg=WHOLE, sam={"type": "SAM", "pretrained": "/nowhere"})


def test_there_is_a_config_for_each_benchmark():
    assert {path.stem for path in CONFIGS} == {f"cliptrase_sam_vit-b16_{key}" for key in BENCHMARKS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_are_cliptrases_with_sam(path, mini_clip, tiny_sam):
    parent = path.parents[1] / "cliptrase" / path.name.replace("cliptrase_sam", "cliptrase")
    options = {"model.backbone.pretrained": str(mini_clip), "model.backbone.arch": "auto"}
    config, plain = load_config(path, options), load_config(parent, options)
    check_settings(config.model, MODELS, "model")
    assert config.model.pop("sam").to_dict() == {"type": "SAM"}
    assert (config.model.pop("type"), plain.model.pop("type")) == ("CLIPtraseSAM", "CLIPtrase")
    for key in ("model", "protocol", "dataset", "test_dataloader", "test_evaluator"):
        assert config[key] == plain[key]
    assert config.protocol == "paper"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configs_have_no_unified_protocol(path):
    with pytest.raises(ValueError, match=r"has no unified protocol: its windows slide"):
        load_config(path, {"protocol": "unified"})


def test_a_config_builds_and_labels(mini_clip, words_file, tiny_sam):
    options = {
        "model.backbone.pretrained": str(mini_clip),
        "model.backbone.arch": "auto",
        "model.decode_head.vocabulary": str(words_file),
        "model.sam.pretrained": str(tiny_sam),
        "model.sam.prompt_batch": 2,
    }
    model = MODELS.build(load_config(CONFIGS[0], options).model)
    assert model.sam.prompt_batch == 2
    [sample] = model.test_step({"inputs": random_images((48, 48)), "data_samples": samples((48, 48))})
    assert sample.pred_sem_seg.data.shape == (1, 336, 336)  # the centre square
