"""The Python interface: the labels of tools/demo.py, new words without a new model, and one sentence for mistakes."""

import doctest
import re
import runpy
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DefaultScope
from PIL import Image

import mmseg_tfovss as tf
from mmseg_tfovss import api, catalogue
from mmseg_tfovss.pocket.scenes import draw_validation

ROOT = Path(__file__).parents[1]
WORDS = ["brick", "donut, ring", "starfish"]
SMALL = {"short_side": 96, "test_cfg": {"crop_size": 64, "stride": 32}}


def by_demo(folder, config, *arguments, monkeypatch):
    """The arrays that tools/demo.py writes."""
    line = ["demo.py", str(IMAGE), str(config), "--out-dir", str(folder), "--device", "cpu", "--save-logits"]
    monkeypatch.setattr(sys, "argv", [*line, *arguments])
    runpy.run_path(str(ROOT / "tools/demo.py"), run_name="__main__")
    with np.load(folder / f"{IMAGE.stem}.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module", autouse=True)
def image(tmp_path_factory):
    """A small photograph, so that everything here is quick."""
    global IMAGE
    IMAGE = tmp_path_factory.mktemp("image") / "scene.png"
    Image.fromarray(next(draw_validation()).image).resize((120, 90)).save(IMAGE)


@pytest.fixture(scope="module")
def segment():
    return tf.load("naclip", pretrained="pocket", device="cpu", **SMALL)


def same(one, other):
    return np.array_equal(one.labels, other.labels) and (one.classes, one.queries) == (other.classes, other.queries)


@pytest.mark.parametrize(
    ("config", "words", "given"),
    [
        (
            "sclip_vit-pocket_pocket_thing",
            WORDS,
            {"short_side": 96},
        ),  # threshold 0.1: class 0 of the words is the background
        ("sclip_vit-pocket_pocket_thing", None, {}),
        ("sclip_vit-b16_voc21", WORDS, {"pretrained": "pocket", "short_side": 96}),  # its area_threshold is off
        ("LHT-CLIP NACLIP", WORDS, {"pretrained": "pocket", "short_side": 96}),
    ],
)
def test_labels_and_scores_are_those_of_the_demo(config, words, given, tmp_path, monkeypatch):
    extra = ["--cfg-options", "model.backbone.pretrained=pocket", "short_side=96"] if given else []
    asked = ["--classes", "; ".join(words)] if words else []
    expected = by_demo(tmp_path, config, *asked, *extra, monkeypatch=monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of class 0, see below
        found = tf.load(config, device="cpu", **given)(IMAGE, words, scores=True)
    assert np.array_equal(found.labels, expected["pred"])
    assert np.array_equal(found.scores, expected["seg_logits"])
    assert (list(found.classes), list(found.queries)) == (list(expected["classes"]), list(expected["queries"]))
    overlay, written = found.overlay(), Image.open(tmp_path / f"{IMAGE.stem}_overlay.png")
    assert np.array_equal(np.array(overlay), np.array(written))


def test_threshold_and_background_are_the_options_of_the_demo(tmp_path, monkeypatch, segment):
    (tmp_path / "background.txt").write_text("grass\nsand\n")
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    options = [
        f"model.decode_head.vocabulary={tmp_path / 'words.txt'}",
        f"model.decode_head.background={tmp_path / 'background.txt'}",
        "model.decode_head.prob_threshold=0.9",
        "short_side=96",
        "model.test_cfg.crop_size=64",
        "model.test_cfg.stride=32",
    ]
    config = ROOT / "configs/naclip/naclip_vit-pocket_pocket_all.py"
    expected = by_demo(tmp_path, config, "--cfg-options", *options, monkeypatch=monkeypatch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = segment(IMAGE, WORDS, background=["grass", "sand"], threshold=0.9)
    assert np.array_equal(found.labels, expected["pred"])
    assert found.classes == ("background", "brick", "donut", "starfish")
    assert len(np.unique(found.labels)) > 1
    assert not np.array_equal(found.labels, segment(IMAGE, WORDS, background=["grass", "sand"]).labels)
    every = segment(IMAGE, WORDS, threshold=1.0)
    assert (every.classes[0], set(every.labels.flat)) == ("brick", {0})
    defaults = api.Segmenter(segment.config, "cpu", background=["grass", "sand"], threshold=0.9)
    assert same(defaults(IMAGE, WORDS), found)


def test_paths_pictures_and_arrays_are_one_image(segment):
    pixels = np.array(Image.open(IMAGE).convert("RGB"))
    expected = segment(str(IMAGE), WORDS)
    assert expected.labels.shape == pixels.shape[:2]
    assert np.issubdtype(expected.labels.dtype, np.integer)
    assert np.array_equal(expected.image, pixels)
    assert expected.scores is None
    transparent = Image.open(IMAGE).convert("RGBA")
    for image in (IMAGE, pixels, pixels[:, ::-1][:, ::-1], Image.open(IMAGE), transparent):
        assert same(segment(image, WORDS), expected)
    assert not np.array_equal(segment(pixels[..., ::-1], WORDS).labels, expected.labels)  # the channels' order counts


def test_a_photograph_is_turned_as_its_file_says(segment, tmp_path):
    picture, exif = Image.open(IMAGE).convert("RGB"), Image.Exif()
    exif[274] = 6
    picture.save(tmp_path / "turned.png", exif=exif)
    turned = Image.open(tmp_path / "turned.png")
    found = segment([tmp_path / "turned.png", turned], WORDS)
    assert found[0].labels.shape == picture.size
    assert same(found[0], found[1])


def test_a_list_gives_a_list_in_batches_as_one_by_one(segment):
    pixels = np.array(Image.open(IMAGE).convert("RGB"))
    images = [IMAGE, pixels[:60], pixels[:, :70], IMAGE, pixels[20:]]
    expected = [segment(image, WORDS, scores=True) for image in images]
    for size in (3, 8):
        found = segment(images, WORDS, batch_size=size, scores=True)
        assert isinstance(found, list)
        for one, other in zip(found, expected, strict=True):
            assert same(one, other)
            assert np.abs(one.scores - other.scores).max() < 1e-5
    assert len(segment((IMAGE,), WORDS)) == 1
    assert segment([], WORDS) == []


def test_new_words_load_nothing_and_are_kept(segment, monkeypatch):
    first = segment(IMAGE, WORDS)
    networks = segment.model.networks()
    encoded = []
    original = api.TextHead._features_of
    monkeypatch.setattr(api.TextHead, "_features_of", lambda self, *a: encoded.append(a[0]) or original(self, *a))
    monkeypatch.setattr(api, "build_method", None)
    other = segment(IMAGE, ["grass", "water", "wood", "fish"])
    assert other.classes == ("grass", "water", "wood", "fish")
    assert same(segment(IMAGE, WORDS), first)
    assert not same(other, first)
    assert encoded == [("grass", "water", "wood", "fish")]
    assert segment.model.networks() == networks
    monkeypatch.setattr(api, "_MOST_LISTS", 2)
    assert segment(IMAGE, ["a tree"]).classes == ("a tree",)
    assert segment(IMAGE).classes == segment(IMAGE, "pocket_all").classes
    assert len(segment._heads) <= 33


def test_a_result_is_shown_in_one_line(segment):
    found = segment(IMAGE, ["brick", "donut, ring"], scores=True)
    assert repr(found) == "<Segmented by NACLIP: 120 x 90 pixels, 2 classes (brick, donut)>"
    many = replace(found, classes=tuple("abcdefg"))
    assert repr(many).endswith("7 classes (a, b, c, d, e, ...)>")


def test_new_words_do_not_depend_on_the_current_scope(segment):
    """MMSegInferencer leaves MMSegmentation's scope behind."""
    wanted = segment(IMAGE, ["brick", "sheep"])
    segment._heads.clear()
    with DefaultScope.overwrite_default_scope("mmseg"):
        assert same(segment(IMAGE, ["brick", "sheep"]), wanted)


def test_later_words_are_as_if_they_were_the_first():
    check_later_words("lht_clip_naclip", **SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(catalogue.configs_on("pocket_all")))
def test_later_words_of_every_method(method):
    check_later_words(method)


def check_later_words(method, **options):
    used, new = (tf.load(method, pretrained="pocket", device="cpu", **options) for _ in range(2))
    used(IMAGE, ["grass", "water", "wood", "fish"], background=["gift"], threshold=0.2)
    assert same(used(IMAGE, WORDS), new(IMAGE, WORDS))


def test_later_words_reach_a_second_clip():
    second = {"type": "CLIPImageEncoder", "arch": "auto", "pretrained": "pocket"}
    check_later_words("cass", presence=second, **SMALL)


def test_words_that_a_method_refuses_leave_it_as_it_was():
    segment = tf.load("clip_surgery", pretrained="pocket", device="cpu", **SMALL)
    before = segment(IMAGE, WORDS)
    with pytest.raises(ValueError, match="CLIP Surgery subtracts what all words share"):
        segment(IMAGE, ["apple"])
    assert same(segment(IMAGE, WORDS), before)


def test_a_background_that_nobody_asked_for_is_told_once():
    segment = tf.load("sclip_vit-pocket_pocket_thing", device="cpu", **SMALL)
    with pytest.warns(UserWarning, match=r'class 0 \("brick"\) is the background: pixels below') as told:
        segment(IMAGE, WORDS)
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        segment(IMAGE, WORDS)
        segment(IMAGE)
        segment(IMAGE, ["wood", *WORDS[:1]], threshold=0)


def test_options_reach_model_and_head():
    segment = tf.load(
        "SCLIP", pretrained="pocket", logit_scale=70, precision="bf16", **{"model.test_cfg.stride": 32}, device="cpu"
    )
    model = segment.model
    assert (model.decode_head.logit_scale, model.common["precision"], model.stride) == (70, "bf16", (32, 32))
    assert repr(segment) == "<SCLIP on ViT-128x12-8/pocket, unified protocol>"
    assert segment.device.type == "cpu"


def test_a_methods_settings_are_those_of_the_unified_protocol(tiny_clip):
    segment = tf.load("LHT-CLIP", "auto", tiny_clip, device="cpu", k=0, vocabulary="ade20k")
    config = segment.config
    assert (config.protocol, config.model.type, config.model.short_side) == ("unified", "LHTCLIP", 336)
    assert config.model.backbone == {"type": "CLIPImageEncoder", "arch": "auto", "pretrained": str(tiny_clip)}
    assert len(segment.model.decode_head.vocabulary.classes) == 150
    assert not segment.model.decode_head.prob_threshold


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("slcip",),
            r"'slcip' is neither a method nor a config\. Did you mean sclip or sc_clip or resclip\? Methods: cass, cle",
        ),
        (("sclip_vit-b16_voc12",), r"Did you mean sclip_vit-b16_voc2\d"),
        (
            ("corrclip", None, "pocket"),
            r"corrclip has no settings for the pocket CLIP .*\. Those that have",
        ),
        (("sclip", "ViT-L-14", "pocket"), "backbone='ViT-L-14' does not fit pretrained='pocket': leave it out"),
        (("sclip", None, "pocket", "tpu9"), "The device 'tpu9' is not available here"),
    ],
)
def test_wrong_names_are_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        tf.load(*arguments)


def test_weights_that_cannot_be_had_are_one_sentence_without_other_tracebacks(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("mmseg_tfovss.encoders.hub.hub_reachable", lambda: False)
    with pytest.raises(
        FileNotFoundError, match=r'set pretrained="pocket"; or run tfovss download .* set pretrained to'
    ) as caught:
        tf.load("sclip", device="cpu")
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None
    assert "model.backbone" not in str(caught.value)


def test_options_that_are_refused_are_not_offered():
    with pytest.raises(ValueError, match="unknown option of SCLIP") as caught:
        tf.load("sclip", pretrained="pocket", device="cpu", depth=2)
    assert not re.search("init_cfg|train_cfg|pretrained", str(caught.value).partition("Valid: ")[2])


def test_wrong_options_are_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"model.shortside: unknown option of SCLIP 'shortside'. Did you mean"):
        tf.load("sclip", pretrained="pocket", device="cpu", shortside=96)
    with pytest.raises(FileNotFoundError, match="not found"):
        tf.load(tmp_path / "none.py")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8), np.uint8), "its shape is (8, 8): repeat grey levels"),
        (np.zeros((2, 8, 8, 3), np.uint8), "its shape is (2, 8, 8, 3): give several images as a list"),
        (np.zeros((3, 8, 8), np.uint8), "move the channels to the end"),
        (np.zeros((8, 8, 4), np.uint8), "drop the alpha channel"),
        (np.zeros((8, 8, 3)), "must be an array of uint8 (0 to 255), but it holds float64"),
        (np.zeros((0, 8, 3), np.uint8), "has no pixels"),
        (7, "must be a path, a PIL image or an array (H, W, 3) of uint8 in RGB order, but got int"),
        (Image.new("F", (8, 8)), "has the mode F of PIL"),
    ],
)
def test_an_image_that_is_none_is_one_sentence(image, message, segment):
    for given, name in ((image, "The image "), ([IMAGE, image], "The image 1 of the list ")):
        with pytest.raises(ValueError, match=f"^{name}.*{re.escape(message)}"):
            segment(given, WORDS)


def test_a_tiny_image_is_named_once(segment):
    tiny = np.zeros((1, 1, 3), np.uint8)
    for given, name in ((tiny, "(in memory)"), ([IMAGE, tiny], "(number 1 of the list)")):
        with pytest.raises(ValueError, match=f"^The image {re.escape(name)} of 1x1 pixels .* is smaller than one"):
            segment(given, WORDS, batch_size=1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "words must be a list with one text per class"),
        (["cat", " "], "words must have a text for every class, but class 1 is ' '"),
        (["cat", 3], "words must have a text for every class, but class 1 is 3"),
        (["# cat"], 'class 0 begins with "#"'),
        ("cat, dog", "Words are given as a list: ['cat', 'dog']"),
        ("ade20", "Did you mean ade20k"),
        (["cat", "cat"], 'The word "cat" occurs twice'),
        (["cat", "cat"], "or put the list into a file with the line '# duplicates: allowed' if its authors mean it so"),
        (["cat; dog", "sky"], 'The text "cat; dog" of the given list holds ";": give each class a text of its own'),
    ],
)
def test_words_that_are_none_are_one_sentence(words, message, segment):
    with pytest.raises(ValueError, match=re.escape(message)):
        segment(IMAGE, words)


def test_wrong_numbers_are_one_sentence(segment, tmp_path):
    with pytest.raises(ValueError, match=r"^threshold must lie in \[0, 1\], but got 2\.$"):
        segment(IMAGE, WORDS, threshold=2)
    with pytest.raises(ValueError, match=r"^threshold must lie in \[0, 1\], but got '0\.1'\.$"):
        tf.load("naclip", pretrained="pocket", threshold="0.1")
    with pytest.raises(ValueError, match="batch_size must be a whole number, at least 1, but got 0"):
        segment([IMAGE], WORDS, batch_size=0)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        segment(tmp_path / "none.png", WORDS)


def test_the_vocabularies_are_listed():
    assert {"voc21", "ade20k", "pocket_all"} <= set(tf.list_vocabularies())


@pytest.mark.parametrize("module", [api, catalogue])
def test_the_examples_of_the_documentation(module):
    tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
    assert tried.failed == 0
    assert tried.attempted > 3


@pytest.mark.slow
def test_importing_the_package_imports_no_framework():
    late = "('mmengine', 'mmseg', 'mmcv', 'open_clip', 'transformers', 'matplotlib')"
    found = f"[name for name in {late} if name in sys.modules]"
    code = f"import sys, mmseg_tfovss; print({found}, 'load' in dir(mmseg_tfovss))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True"


def test_the_package_says_what_it_has():
    assert set(tf.__all__) <= set(dir(tf))
    with pytest.raises(AttributeError, match="has no attribute 'laod'"):
        tf.laod  # noqa: B018
    assert (Path(tf.__file__).parent / "py.typed").is_file()
