"""LaVG: the official outputs for recorded masks, masks that are cut once, and what happens where there are none."""

import json

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmseg.structures import SegDataSample

from mmseg_tfovss.config import config_hash, load_config
from mmseg_tfovss.encoders.companion import Companion
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.engine.single import segment_file
from mmseg_tfovss.methods import lavg
from mmseg_tfovss.ops.panoptic_cut import cut_patches, resize_masks, sharpen, with_rest
from tests.methods.own_config import CONFIGS, SLIDE, WHOLE
from tests.parity.cases import FOLDER, build_case, check_case, load_case, parity_cases, run_case

CASES = parity_cases("lavg")
SIZE = (40, 56)


class Eye(Companion):
    """Keys of colours alone: near each other where colours are."""

    patch_size, weights_hash = 8, "eye"

    def projections(self, images, grid):
        """Keys (B, 2, N, 32) of the patches' mean colours."""
        size = [side * self.patch_size for side in grid]
        assert list(images.shape[-2:]) == size
        colours = F.avg_pool2d(images, self.patch_size).flatten(2).transpose(1, 2)  # (B, N, 3)
        waves = colours @ torch.randn(3, 32, generator=torch.Generator().manual_seed(0)).to(images) / 30
        return None, torch.stack([waves.cos(), waves.sin()], dim=1), None


CUT = {"vfm": {"type": Eye}, "cut_size": 128, "crf_steps": 2}


def build_official(settings, weights, folder, **options):
    own = {"masks": str(FOLDER / "lavg" / f"{settings['case']}.npz")}
    own["remove_falsefg"] = settings["options"]["remove_falsefg"]
    return build_case(settings, weights, folder, "LaVG", **{**own, **options})


def test_there_are_official_outputs():
    assert len(CASES) >= 2


@pytest.mark.parametrize("name", CASES)
def test_equals_official_code(name, tiny_clip, tmp_path):
    settings, official = load_case("lavg", name)
    check_case(build_official(settings, tiny_clip, tmp_path), settings, official)


def test_without_the_masks_it_is_another_method(tiny_clip, tmp_path):
    """The idea: one class for a mask. One mask that is the whole image is not the same, nor are single pixels."""
    settings, official = load_case("lavg", CASES[1])
    height, width = settings["image_hw"]
    np.save(tmp_path / "one.npy", np.ones((1, height, width)))
    one = build_official(settings, tiny_clip, tmp_path, masks=str(tmp_path / "one.npy"))
    pixels = build_case(settings, tiny_clip, tmp_path, "SCLIP")
    for model in (one, pixels):
        found = run_case(model, settings)
        assert np.abs(found["patch_logits"] - official["patch_logits"]).max() < 1e-5
        assert np.abs(found["seg_logits"] - official["seg_logits"]).max() > 0.05
        assert (found["pred"] != official["pred"]).mean() > 0.02


def test_no_class_but_0_where_no_mask_is(tiny_clip, tmp_path):
    settings, official = load_case("lavg", CASES[0])
    assert settings["options"]["remove_falsefg"]
    rest = np.unpackbits(official["masks"], axis=-1, count=settings["image_hw"][1])[-1] > 0
    # Not all: pixels are resampled where masks meet.
    assert (official["pred"][rest] == 0).mean() > 0.97
    kept = run_case(build_official(settings, tiny_clip, tmp_path, remove_falsefg=False), settings)["pred"]
    assert (kept[rest] == 0).mean() < 0.9


# -- masks that are cut ---------------------------------------------------------------------------------------------


@pytest.fixture
def build(build_own, tmp_path):
    """LaVG on the mini CLIP with an eye for colours and a cache of its own."""

    def build(**options):
        return build_own("LaVG", **{"cache_dir": str(tmp_path / "masks"), **CUT, **options})

    return build


def picture(seed, size=SIZE):
    """A uint8 BGR image (3, H, W) of a few rectangles."""
    draw = np.random.default_rng(seed)
    image = np.full((3, *size), 90, dtype=np.uint8)
    for _ in range(3):
        top, left = draw.integers(0, size[0] - 12), draw.integers(0, size[1] - 16)
        image[:, top : top + 12, left : left + 16] = draw.integers(0, 255, size=(3, 1, 1))
    return torch.from_numpy(image)


def label(model, *images, path=""):
    samples = [SegDataSample(metainfo={"ori_shape": tuple(one.shape[1:]), "img_path": path}) for one in images]
    data = model.data_preprocessor({"inputs": list(images), "data_samples": samples})
    return [one.pred_sem_seg.data[0] for one in model.predict(**data)]


@torch.inference_mode()
def masks_of(model, image):
    data = model.data_preprocessor({"inputs": [image], "data_samples": None})
    [assembly] = model.inference(data["inputs"], [sample.metainfo for sample in data["data_samples"]])
    return assembly.scene.seen["masks"]


def test_masks_are_the_panoptic_cut_of_the_file(build):
    """Of the image before resizing: keys of the last block, cut, sharpened, resized, the rest last."""
    model, image = build(short_side=24), picture(0)
    found = masks_of(model, image)
    assert found.shape[1:] == SIZE
    assert len(found) > 2
    pixels = image.flip(0).permute(1, 2, 0).numpy()
    square = np.array(lavg.Image.fromarray(pixels).resize((128, 128), lavg.Image.Resampling.LANCZOS))
    with torch.inference_mode():
        _, keys, _ = model.vfm.projections(torch.from_numpy(square).float().permute(2, 0, 1)[None], (16, 16))
    cut = cut_patches(torch.cat([*keys[0]], dim=1), (16, 16), 0.3, 8)
    assert np.array_equal(found.numpy(), with_rest(resize_masks(sharpen(cut, square, 2), SIZE)))


def test_without_the_file_the_networks_input_is_cut(build):
    model = build()
    image = picture(0)
    [labels] = label(model, image)
    normalised = model.data_preprocessor({"inputs": [image], "data_samples": None})["inputs"]
    [sample] = model.predict(normalised)
    assert torch.equal(sample.pred_sem_seg.data[0], labels)


@pytest.mark.parametrize("test_cfg", [SLIDE, WHOLE], ids=["slide", "whole"])
def test_a_batch_is_its_images_one_by_one(test_cfg, build):
    model = build(test_cfg=test_cfg, short_side=32)
    images = [picture(0), picture(1), picture(2, (56, 40))]
    together = label(model, *images)
    for image, labels in zip(images, together, strict=True):
        assert torch.equal(label(model, image)[0], labels)
        assert labels.shape == image.shape[1:]


@pytest.mark.parametrize("test_cfg", [SLIDE, WHOLE, {"mode": "slide", "crop_size": (32, 24), "stride": 16}], ids=str)
@pytest.mark.parametrize("upsampling", ["direct", "two_step"])
@torch.inference_mode()
def test_float32_is_close_to_float64(test_cfg, upsampling, build):
    model = build(test_cfg=test_cfg, short_side=48, whole_upsampling=upsampling)
    image = model.data_preprocessor({"inputs": [picture(0)], "data_samples": None})["inputs"][0]
    metas = [{"ori_shape": SIZE, "original": picture(0).flip(0).permute(1, 2, 0).numpy()}]
    single = model.dense_logits(model.inference([image], metas)[0])
    model.double()
    exact = model.dense_logits(model.inference([image.double()], metas)[0])
    assert (single - exact).abs().max() < 1e-5


def test_whole_images_go_to_their_size_directly_or_over_the_resized_image(build_method, tmp_path):
    """Directly, masks are not resampled: every pixel of a mask has the same logits."""
    masks = np.zeros((2, *SIZE), dtype=bool)
    masks[0, 5:20, 7:30] = True
    masks[1] = ~masks[0]
    np.save(tmp_path / "masks.npy", masks)
    recorded, found = str(tmp_path / "masks.npy"), {}
    for upsampling in ("direct", "two_step"):
        settings = {"test_cfg": WHOLE, "short_side": 24, "whole_upsampling": upsampling}
        model = build_method("LaVG", masks=recorded, **settings)
        image = model.data_preprocessor({"inputs": [picture(0)], "data_samples": None})["inputs"][0]
        [assembly] = model.inference([image], [{"ori_shape": SIZE}])
        found[upsampling] = model.dense_logits(assembly)
    assert found["direct"].flatten(1).unique(dim=1).shape[1] == 2
    assert found["two_step"].flatten(1).unique(dim=1).shape[1] > 2


def test_masks_are_cut_once_for_an_image_and_its_settings(build, monkeypatch):
    cuts, cut = [], lavg.cut_patches
    monkeypatch.setattr(lavg, "cut_patches", lambda *given: cuts.append(1) or cut(*given))
    first = build()
    for options, images, count in (
        ({}, [picture(0)], 1),
        ({"short_side": 24}, [picture(0)], 1),
        ({}, [picture(0), picture(1)], 2),
        ({"tau": 0.1}, [picture(0)], 3),
        ({"max_masks": 2}, [picture(0)], 4),
        ({"cut_size": 64}, [picture(0)], 5),
        ({"crf_steps": 0}, [picture(0)], 6),
        ({}, [picture(0)], 6),
    ):
        model = build(**options) if options else first
        label(model, *images)
        assert len(cuts) == count, options
    first.vfm.weights_hash = "another"
    label(first, picture(0))
    assert len(cuts) == 7


@pytest.mark.parametrize(
    "options", [{"tau": 0.9}, {"max_masks": 1}, {"cut_size": 64}, {"crf_steps": 0}, {"remove_falsefg": True}], ids=str
)
def test_every_setting_changes_the_logits(options, build):
    found = []
    for model in (build(), build(**options)):
        data = model.data_preprocessor({"inputs": [picture(0)], "data_samples": None})
        [assembly] = model.inference(data["inputs"], [sample.metainfo for sample in data["data_samples"]])
        found.append(model.dense_logits(assembly))
    assert (found[0] - found[1]).abs().max() > 1e-4


@pytest.mark.parametrize("removed", [True, False])
def test_an_image_without_masks_is_all_rest(removed, build, monkeypatch):
    monkeypatch.setattr(lavg, "sharpen", lambda masks, image, steps: np.zeros((0, *image.shape[:2]), dtype=bool))
    model = build(remove_falsefg=removed, test_cfg=WHOLE)
    masks = masks_of(model, picture(0))
    assert masks.shape == (1, *SIZE)
    assert masks.all()
    [labels] = label(model, picture(0))
    assert len(labels.unique()) == 1
    assert not removed or labels.eq(0).all()


def test_an_image_of_one_colour_is_labelled(build):
    [labels] = label(build(), torch.full((3, *SIZE), 128, dtype=torch.uint8))
    assert labels.shape == SIZE


def test_every_door_cuts_the_file(build, tmp_path):
    """The same masks, and so labels, by tools/demo.py as by MMEngine's test; not those of the network's input."""
    path, image = tmp_path / "image.png", picture(0)
    cv2.imwrite(str(path), image.permute(1, 2, 0).numpy())
    model = build(short_side=24)
    labels = torch.from_numpy(segment_file(model, path).pred)
    assert torch.equal(label(model, image)[0], labels)
    small = model.data_preprocessor({"inputs": [image], "data_samples": None})["inputs"]
    [assembly] = model.inference(small, [{"ori_shape": SIZE}])
    assert not torch.equal(assembly.scene.seen["masks"], masks_of(model, image))


@pytest.mark.slow
def test_it_runs_on_pocket(tmp_path):
    options = {"test_dataloader.num_workers": 0, "test_dataloader.dataset.indices": 2}
    data = {"test_dataloader.dataset.data_root": str(CONFIGS.parent / "data" / "pocket")}
    for name in ("all", "thing"):
        config = load_config(
            CONFIGS / "lavg" / f"lavg_vit-pocket_pocket_{name}.py",
            {**options, **data, "work_dir": str(tmp_path / name)},
        )
        result = run_test(config)
        assert (result["method"], result["num_images"]) == ("LaVG", 2)


# -- options --------------------------------------------------------------------------------------------------------


def test_defaults_are_those_of_the_code(build_method):
    model = build_method("LaVG", vfm={"type": Eye})
    assert model.cut == lavg.CutSettings(tau=0.3, max_masks=8, cut_size=640, crf_steps=10)
    assert not model.remove_falsefg
    with pytest.raises((ValueError, FileNotFoundError), match=r"facebook/dino-vitb8"):
        build_method("LaVG")


@pytest.mark.parametrize("key", ["voc21", "context60", "coco_object", "voc20", "cityscapes", "coco_stuff164k"])
def test_configs_have_the_authors_settings(key):
    """Those of SCLIP, and on VOC21 no false foreground."""
    ours, sclip = (load_config(CONFIGS / name / f"{name}_vit-b16_{key}.py").model for name in ("lavg", "sclip"))
    own = {name: ours.pop(name) for name in ("type", "vfm", "remove_falsefg") if name in ours}
    assert own.pop("vfm") == {"type": "DINO", "pretrained": "facebook/dino-vitb8"}
    assert own == {"type": "LaVG", **({"remove_falsefg": True} if key == "voc21" else {})}
    assert {**ours, "type": "SCLIP"} == sclip
    unified = load_config(CONFIGS / "lavg" / f"lavg_vit-b16_{key}.py", {"protocol": "unified"}).model
    assert not unified.get("remove_falsefg", False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"remove_falsefg": 1.5}, r"model\.remove_falsefg must be one of \[True, False\], but got 1\.5"),
        ({"max_masks": 0}, r"model\.max_masks must be a whole number of at least 1"),
        ({"vfm": {"type": "SAM"}}, r"model\.vfm: SAM gives no projections: take one of DINO"),
        ({"vfm": "facebook/dino-vitb8"}, r"model\.vfm must be settings with a type"),
        ({"masks": 3}, r"model\.masks must be a file or a folder, but got 3"),
        ({"masks": "", "tau": 2}, r"model\.tau must lie in \[-1, 1\]"),
        (
            {"remove_falsefg": True, "decode_head": {"vocabulary": "voc20"}},
            r"model\.remove_falsefg=True .* voc20 has none",
        ),
    ],
)
def test_wrong_options_are_refused(options, message, build):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_where_masks_are_kept_changes_no_number():
    leaf = CONFIGS / "lavg" / "lavg_vit-pocket_pocket_all.py"
    plain, elsewhere, other = (
        config_hash(load_config(leaf, options)) for options in ({}, {"model.cache_dir": "x"}, {"model.tau": 0.2})
    )
    assert plain == elsewhere != other


@pytest.mark.parametrize("kind", ["DSLO", "LHTCLIP"])
def test_others_go_around_it(kind, build_method, tmp_path):
    """They act on its canvas, or on the blocks before its masks."""
    base = {"type": "LaVG", "cache_dir": str(tmp_path), **CUT}
    plain = build_method("LaVG", test_cfg=WHOLE, **{name: value for name, value in base.items() if name != "type"})
    own = {"LHTCLIP": {"ranking": None, "k": 0}, "DSLO": {"mode": "kl"}}[kind]
    model = build_method(kind, base=base, test_cfg=WHOLE, **own)
    assert model.networks()["base.vfm"] is model.base.vfm
    found = []
    for one in (plain, model):
        data = one.data_preprocessor({"inputs": [picture(0)], "data_samples": None})
        [assembly] = one.inference(data["inputs"], [sample.metainfo for sample in data["data_samples"]])
        found.append(one.dense_logits(assembly))
    assert found[0].shape == found[1].shape
    assert (found[0] - found[1]).abs().max() > 1e-3


@pytest.mark.parametrize("leaf", ["lavg_vit-b16_voc21", "lavg_vit-pocket_pocket_all"])
def test_what_recorded_masks_leave_without_effect_is_refused(leaf, tmp_path):
    """On the command line; what a config has for cut masks, defaults, and another network are no mistake."""
    path, masks = CONFIGS / "lavg" / f"{leaf}.py", {"model.masks": str(tmp_path)}
    for name, value in (("tau", 0.4), ("cache_dir", "x"), ("cut_size", 99)):
        load_config(path, {f"model.{name}": value})
        with pytest.raises(ValueError, match=rf"model\.{name}=.* has no effect: it acts with model\.masks=None only"):
            load_config(path, {**masks, f"model.{name}": value})
    config = load_config(path, {**masks, "model.tau": 0.3, "model.vfm.pretrained": "dino.pth"})
    assert config.model.masks == str(tmp_path)


def test_recorded_masks_need_no_network(build_method, tmp_path):
    vfm = load_config(CONFIGS / "lavg" / "lavg_vit-b16_voc20.py").model.vfm
    model = build_method("LaVG", masks=str(tmp_path), vfm=vfm)
    assert list(model.networks()) == ["backbone"]
    build_method("LaVG", masks=str(tmp_path), vfm=None, cut_size=None)
    with pytest.raises(FileNotFoundError, match=r"has no file a\.npz or .* for the image here/a\.png"):
        label(model, picture(0), path="here/a.png")
    np.save(tmp_path / "a.npy", np.ones((1, *SIZE)))
    assert label(model, picture(0), path="here/a.png")[0].shape == SIZE
    with pytest.raises(FileNotFoundError, match=r"model\.masks: there is no file or folder .*none"):
        build_method("LaVG", masks=str(tmp_path / "none"))


def test_a_cut_smaller_than_a_patch_is_refused(build):
    with pytest.raises(ValueError, match=r"model\.cut_size=7 is less than a patch of .*, 8 pixels"):
        build(cut_size=7)


def test_the_settings_of_the_official_outputs_are_all_read():
    """So that no case is kept with a setting that the test above leaves out."""
    for name in CASES:
        settings = json.loads((FOLDER / "lavg" / f"{name}.json").read_text())
        known = {"stage2_only", "remove_falsefg", "bgidx", "masks", "patch_logits"}
        assert set(settings["options"]) == known
        assert settings["options"]["bgidx"] == len(settings["classes"][0])
