"""VD of layers and heads, and SA, by brute force; whole runs: interrupted, resumed, refused; the pictures."""

import csv
import gc
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from PIL import Image
from sklearn.metrics import roc_auc_score

from mmseg_tfovss.config import load_config
from mmseg_tfovss.studies.discriminability import picture as discriminability_picture
from mmseg_tfovss.studies.discriminability import state as discriminability_state
from mmseg_tfovss.studies.discriminability import study as discriminability
from mmseg_tfovss.studies.discriminability.patch_pairs import IGNORED
from mmseg_tfovss.studies.discriminability.picture import OVERVIEW_NAME, draw_overview, save_pictures
from mmseg_tfovss.studies.discriminability.study import (
    RESULT_NAME,
    STATE_NAME,
    Options,
    analyse,
    build_plain_method,
    choose_images,
)
from mmseg_tfovss.studies.discriminability.sums import count_correct, measure_image, run_blocks, summarise
from tests.engine.test_run import make_voc, small_options
from tests.mini import BLOCKS, PATCH, WIDTH

CONFIGS = Path(__file__).parents[3] / "configs"
GRID, HEADS = (4, 5), 2


@pytest.fixture
def model(build_method):
    model = build_method("CLIP", test_cfg={"mode": "whole"}, decode_head={"templates": "photo"})
    model.prepare()
    return model


@pytest.fixture
def image():
    return torch.randn(3, GRID[0] * PATCH, GRID[1] * PATCH, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def truth():
    return torch.randint(IGNORED, 4, (20,), generator=torch.Generator().manual_seed(1))


def brute_force(features, truth):
    """ROC-AUC over the pairs of labelled patches (N, C)."""
    known = (truth != IGNORED).nonzero().flatten()
    i, j = torch.triu_indices(len(known), len(known), offset=1)
    units = F.normalize(features.double(), dim=-1)[known]
    return roc_auc_score((truth[known][i] == truth[known][j]).numpy(), (units[i] * units[j]).sum(dim=1).numpy())


def test_layers_and_heads_are_those_of_open_clip(build_method, reference_clip, image):
    reference, quick_gelu = reference_clip
    backbone = build_method("CLIP", test_cfg={"mode": "whole"}, backbone={"quick_gelu": quick_gelu}).backbone
    tokens = backbone.embed(image[None])
    found = list(run_blocks(backbone, image[None], BLOCKS))
    for block, (patches, added) in zip(reference.visual.transformer.resblocks, found, strict=True):
        assert added.shape == (HEADS, 20, WIDTH)
        normal = block.ln_1(tokens)
        attention = block.attn(normal, normal, normal, need_weights=False)[0][0, 1:]
        torch.testing.assert_close(added.sum(dim=0) + block.attn.out_proj.bias, attention, rtol=1e-4, atol=1e-5)
        tokens = block(tokens)
        torch.testing.assert_close(patches, tokens[0, 1:], rtol=1e-4, atol=1e-5)


def test_one_head_by_hand(model, image):
    """A_h V_h W_o[:, h] from the stored matrices, not from the encoder's methods."""
    block = model.backbone.blocks[0]
    tokens = model.backbone.embed(image[None])[0]
    projected = F.layer_norm(tokens, (WIDTH,), block.ln_1.weight, block.ln_1.bias) @ block.in_proj.weight.T
    query, key, value = (projected + block.in_proj.bias).split(WIDTH, dim=-1)
    added = next(run_blocks(model.backbone, image[None], 1))[1]
    for head in range(HEADS):
        part = slice(64 * head, 64 * (head + 1))
        attention = (query[:, part] @ key[:, part].T / 8).softmax(dim=-1)
        expected = attention @ value[:, part] @ block.out_proj.weight[:, part].T
        torch.testing.assert_close(added[head], expected[1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("include_last", [False, True])
def test_auc_of_every_layer_and_head(model, image, truth, include_last):
    blocks = BLOCKS - (not include_last)
    sums = measure_image(model, image, truth, Options(include_last=include_last))
    found = list(run_blocks(model.backbone, image[None], BLOCKS))[:blocks]
    layers = [brute_force(patches, truth) for patches, _ in found]
    heads = [[brute_force(part, truth) for part in added] for _, added in found]
    assert sums["layer_auc"].tolist() == pytest.approx(layers, abs=1e-4)
    torch.testing.assert_close(sums["head_auc"], torch.tensor(heads, dtype=torch.float64), rtol=0, atol=1e-4)
    assert sums["normal_layer_cosine"].shape == (BLOCKS - 1, BLOCKS - 1)
    result = summarise(sums)
    assert [layer["block"] for layer in result["layers"]] == list(range(1, blocks + 1))


def test_alignment_by_hand(model, image, truth):
    backbone, last = model.backbone, model.backbone.blocks[-1]
    patches = list(run_blocks(backbone, image[None], 2))[1][0]
    normal = F.layer_norm(patches, (WIDTH,), last.ln_1.weight, last.ln_1.bias)
    value = normal @ last.in_proj.weight[2 * WIDTH :].T + last.in_proj.bias[2 * WIDTH :]
    moved = value @ last.out_proj.weight.T + last.out_proj.bias
    projected = F.layer_norm(moved, (WIDTH,), backbone.ln_post.weight, backbone.ln_post.bias) @ backbone.proj
    cosines = F.cosine_similarity(projected[:, None], model.decode_head.text_features[None], dim=-1)
    classes = model.decode_head.query_class[cosines.argmax(dim=1)]
    expected = [int(((classes == c) & (truth == c)).sum()) for c in range(4)]
    assert count_correct(model, patches, truth).tolist() == expected
    assert sum(expected) > 0


def test_accuracies_leave_out_absent_classes_and_ignored_patches(model, image):
    truth = torch.tensor([0] * 9 + [2] * 6 + [IGNORED] * 5)
    sums = measure_image(model, image, truth, Options())
    result = summarise(sums)
    assert sums["labelled"].tolist() == [9, 0, 6, 0]
    assert result["labelled_patches"] == 15
    right = sums["correct"][1]
    assert result["layers"][1]["SA"] == pytest.approx(float(right.sum()) / 15)
    assert result["layers"][1]["mean_class_SA"] == pytest.approx(float(right[0] / 9 + right[2] / 6) / 2)


def test_images_of_one_class_have_no_auc_but_count_otherwise(model, image, truth):
    one, two = (measure_image(model, image, t, Options()) for t in (torch.zeros_like(truth), truth))
    both = {name: one[name] + two[name] for name in one}
    assert (one["images_with_pairs"], float(one["layer_auc"].sum())) == (0, 0)
    result = summarise(both)
    assert (result["images"], result["images_without_pairs"]) == (2, 1)
    assert [layer["VD"] for layer in result["layers"]] == two["layer_auc"].tolist()
    assert result["labelled_patches"] == 20 + int((truth != IGNORED).sum())


class Zeros:
    """A plug-in that leaves nothing of the tokens."""

    def run_block(self, number, block, stream, projections):
        return 0 * stream.tokens

    def after_block(self, number, stream):
        return 0 * stream.tokens


def test_plugins_change_nothing(model, image, truth):
    before, tokens = measure_image(model, image, truth, Options()), model.run_blocks(image[None]).tokens
    model.plugins.append(Zeros())
    after = measure_image(model, image, truth, Options())
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(model.run_blocks(image[None]).tokens, tokens)  # though they act on the method


def test_sampled_pairs_follow_seed_and_image(model, image, truth):
    def auc(number, **options):
        return measure_image(model, image, truth, Options(**options), number)["layer_auc"].tolist()

    everything = auc(0)
    assert auc(0, sample_pairs=10**6) == everything
    some = auc(0, sample_pairs=60)
    assert some == auc(0, sample_pairs=60)
    assert len({str(a) for a in (everything, some, auc(1, sample_pairs=60), auc(0, sample_pairs=60, seed=1))}) == 4


@pytest.mark.parametrize("options", [{"max_images": 0}, {"sample_pairs": 0}, {"seed": -1}, {"tau": 1.5}])
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match="must"):
        Options(**options)


def test_images_are_drawn_by_seed():
    assert choose_images(5, Options()) == choose_images(5, Options(max_images=9)) == [0, 1, 2, 3, 4]
    drawn = choose_images(1000, Options(max_images=10))
    assert drawn == sorted(set(drawn))
    assert len(drawn) == 10
    assert drawn == choose_images(1000, Options(max_images=10)) != choose_images(1000, Options(max_images=10, seed=1))


# -- whole runs -----------------------------------------------------------------------------------------------------


@pytest.fixture
def config(mini_clip, tmp_path, monkeypatch):
    """Three images of random labels; with labels in blocks, so that patches have classes."""
    monkeypatch.setattr(gc, "collect", lambda: 0)  # MMEngine's datasets call it, a third of a second each time
    root = make_voc(tmp_path)
    for path in (root / "SegmentationClass").iterdir():
        with Image.open(path) as labels:
            size = labels.size
            coarse = labels.resize((size[0] // 12, size[1] // 12), Image.Resampling.NEAREST)
        coarse.point(lambda label: label % 3).resize(size, Image.Resampling.NEAREST).save(path)
    options = small_options(root, mini_clip, tmp_path / "work")
    return load_config(CONFIGS / "sclip/sclip_vit-b16_voc21.py", options)


_built = []


@pytest.fixture
def built_once(monkeypatch):
    """The mini CLIP on VOC's words: loading it takes longer than a run."""

    def build(config, device):
        if not _built:
            _built.append(build_plain_method(config, device))
        return _built[0]

    monkeypatch.setattr(discriminability, "build_plain_method", build)


def without_time(result):
    return {key: value for key, value in result.items() if key != "finished_at"}


@pytest.mark.usefixtures("built_once")
def test_files_of_a_run(config, tmp_path):
    result = analyse(config, tmp_path / "out", "cpu", command="the command")
    written = json.loads((tmp_path / "out" / RESULT_NAME).read_text())
    assert written == discriminability._rounded(result)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {RESULT_NAME, "layers.csv", "heads.csv"}
    expected = {
        "config": "sclip_vit-b16_voc21",
        "dataset": "voc21",
        "split": "val",
        "seed": 0,
        "command": "the command",
    }
    assert {key: written[key] for key in expected} == expected
    assert (written["images"], written["blocks"], written["heads"], len(written["weights_hash"])) == (3, 3, 2, 64)
    assert written["versions"]["torch"] == torch.__version__
    rows = list(csv.reader((tmp_path / "out/heads.csv").open()))
    assert rows[0] == ["block", "head", "VD"]
    assert [row[:2] for row in rows[1:]] == [["1", "0"], ["1", "1"], ["2", "0"], ["2", "1"]]
    assert float(rows[4][2]) == written["head_VD"][1][1]
    rows = list(csv.DictReader((tmp_path / "out/layers.csv").open()))
    assert [float(row["VD"]) for row in rows] == [layer["VD"] for layer in written["layers"]]


def test_a_method_with_hooks_of_its_own_is_analysed_as_plain_clip(config, tmp_path):
    plain = analyse(config, tmp_path / "plain", "cpu")
    config.model.type = "CLIPtrase"
    other = analyse(config, tmp_path / "other", "cpu")
    assert other["layers"] == plain["layers"]
    assert other["head_VD"] == plain["head_VD"]


def test_images_have_the_size_that_the_result_names(config):
    config.model.data_preprocessor = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}
    model = build_plain_method(config, "cpu")
    assert model.data_preprocessor.short_side == config.model.short_side is not None
    assert model.data_preprocessor.mean.flatten().tolist() == [0, 0, 0]
    assert discriminability._provenance(config, model, Options(), "")["short_side"] == config.model.short_side


@pytest.mark.usefixtures("built_once")
def test_an_interrupted_run_continues_to_the_same_result(config, tmp_path, monkeypatch):
    whole = analyse(config, tmp_path / "whole", "cpu", Options(sample_pairs=100))
    monkeypatch.setattr(discriminability_state, "_SAVE_EVERY", 1)
    seen = []

    def interrupt(model, image, truth, options, number):
        seen.append(number)
        if seen == [0, 1, 2]:
            raise KeyboardInterrupt
        return measure_image(model, image, truth, options, number)

    monkeypatch.setattr(discriminability, "measure_image", interrupt)
    with pytest.raises(KeyboardInterrupt):
        analyse(config, tmp_path / "parts", "cpu", Options(sample_pairs=100))
    assert (tmp_path / "parts" / STATE_NAME).is_file()
    with pytest.raises(ValueError, match="is an unfinished analysis of another config, other weights or other options"):
        analyse(config, tmp_path / "parts", "cpu", Options(sample_pairs=99))
    parts = analyse(config, tmp_path / "parts", "cpu", Options(sample_pairs=100))
    assert seen == [0, 1, 2, 2]
    assert without_time(parts) == without_time(whole)
    assert not (tmp_path / "parts" / STATE_NAME).exists()


@pytest.mark.usefixtures("built_once")
def test_a_run_that_only_its_files_lack(config, tmp_path, monkeypatch):
    monkeypatch.setattr(discriminability_state, "_SAVE_EVERY", 1)
    with monkeypatch.context() as patch:
        patch.setattr(discriminability, "write_result", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            analyse(config, tmp_path / "out", "cpu")
    monkeypatch.setattr(discriminability, "measure_image", None)
    assert analyse(config, tmp_path / "out", "cpu")["images"] == 3


@pytest.mark.usefixtures("built_once")
def test_files_that_change_meanwhile(config, tmp_path, monkeypatch):
    monkeypatch.setattr(discriminability_state, "_SAVE_EVERY", 1)
    label = Path(config.test_dataloader.dataset.data_root) / "SegmentationClass/0.png"

    def changing(*given):
        label.write_bytes(label.read_bytes()[:-1] + b"x")
        return measure_image(*given)

    monkeypatch.setattr(discriminability, "measure_image", changing)
    with pytest.raises(ValueError, match="have changed during the analysis: wait until nothing writes there"):
        analyse(config, tmp_path / "out", "cpu")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.usefixtures("built_once")
def test_a_damaged_state(config, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / STATE_NAME).write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is damaged: delete it to start again"):
        analyse(config, tmp_path / "out", "cpu")


@pytest.mark.usefixtures("built_once")
def test_another_split_of_some_images(config, tmp_path):
    root = Path(config.test_dataloader.dataset.data_root)
    (root / "ImageSets/Segmentation/train.txt").write_text("2\n0\n")
    result = analyse(config, tmp_path / "out", "cpu", Options(split="train", max_images=1))
    assert (result["dataset"], result["split"], result["images"]) == ("voc21", "train", 1)


@pytest.mark.usefixtures("built_once")
def test_nothing_to_tell_apart(config, tmp_path):
    for path in (Path(config.test_dataloader.dataset.data_root) / "SegmentationClass").iterdir():
        with Image.open(path) as labels:
            cleared = labels.point(lambda _: 3)
        cleared.save(path)
    with pytest.raises(ValueError, match="None of the 3 images has patches of two classes"):
        analyse(config, tmp_path / "out", "cpu")


def test_configs_without_a_dataset(config, tmp_path):
    config.pop("test_dataloader")
    with pytest.raises(ValueError, match="needs a config with a dataset"):
        analyse(config, tmp_path, "cpu")


@pytest.mark.usefixtures("built_once")
@pytest.mark.parametrize("tau", [0.5, pytest.param(0.2, marks=pytest.mark.slow)])
def test_pictures_with_and_without_abnormal_tokens(config, tmp_path, tau):
    result = analyse(config, tmp_path / "out", "cpu", Options(tau=tau, include_last=True))
    assert (result["similarity"]["abnormal"]["tokens"] > 0) == (tau == 0.2)
    figure = draw_overview(result)
    curves, _, *maps = [axis for axis in figure.findobj(Axes) if axis.lines or axis.images]
    assert curves.lines[0].get_ydata().tolist() == [layer["VD"] for layer in result["layers"]]
    assert len(maps) >= BLOCKS
    figure.savefig(tmp_path / "overview.png", dpi=20)


def test_every_picture_is_written(tmp_path, monkeypatch):
    drawn = []
    parts = {name: ((2, 1), lambda figure, result, name=name: drawn.append(name)) for name in ("one", "two")}
    monkeypatch.setattr(discriminability_picture, "_parts", lambda result: parts)
    monkeypatch.setattr(
        discriminability_picture, "draw_overview", lambda result: discriminability_picture._figure(2, 1)
    )
    provenance = {"arch": "ViT", "dataset": "voc21", "split": "train", "images": 3}
    assert save_pictures(provenance, tmp_path) == ["one.png", "two.png", OVERVIEW_NAME]
    assert drawn == ["one", "two"]
    for name in ("one.png", "two.png", OVERVIEW_NAME):
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (2 * 88, 88)
