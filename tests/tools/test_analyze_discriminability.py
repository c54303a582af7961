"""analyze.py's two commands about discriminability, as a user types them."""

import gc
import json

import pytest

from mmseg_tfovss.encoders.head_ranking import load_ranking
from mmseg_tfovss.studies.discriminability import picture as discriminability_picture
from tests.engine.test_run import make_voc
from tests.tools.test_analyze_cliptrase import analyze, small  # noqa: F401 - fixtures
from tests.tools.test_command_lines import ROOT, SCLIP

POCKET = ROOT / "configs/clip/clip_vit-pocket_pocket_all.py"


@pytest.mark.slow
def test_from_images_to_a_ranking(analyze, small, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(gc, "collect", lambda: 0)  # MMEngine's datasets call it
    monkeypatch.setenv("MMSEG_TFOVSS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(discriminability_picture, "_DPI", 10)  # the layout of the figures takes seconds
    root = make_voc(tmp_path)
    (root / "ImageSets/Segmentation/train.txt").write_text("0\n2\n")
    data = (f"test_dataloader.dataset.data_root={root}", "test_dataloader.num_workers=0")
    options = ("--split", "train", "--max-images", 2, "--seed", 3, "--tau", "0.2", "--include-last", "--out", "out")
    command = ("discriminability", SCLIP, *options, "--device", "cpu", *small, *data)
    code, printed, errors = analyze(*command)
    assert code == 0, errors
    first, *written = printed.splitlines()
    assert first.startswith("Best layer: block ")
    assert first.endswith(", over 2 images")
    assert {line.removeprefix("Written: out/") for line in written} == {p.name for p in (tmp_path / "out").iterdir()}
    result = json.loads((tmp_path / "out/discriminability.json").read_text())
    expected = {"split": "train", "max_images": 2, "seed": 3, "tau": 0.2, "include_last": True, "sample_pairs": None}
    assert {key: result[key] for key in expected} == expected
    assert result["command"] == " ".join(["python tools/analyze.py", *map(str, command)])
    code, printed, errors = analyze("rank-heads", "out/discriminability.json")
    assert code == 0, errors
    best, path = printed.splitlines()
    assert best.startswith("Best heads (block.head): ")
    assert path == f"Written: {tmp_path}/cache/rankings/{result['weights_hash']}.json"
    code, printed, _ = analyze("rank-heads", "out/discriminability.json", "--out", "mine.json", "--picture", "mine.png")
    assert (code, printed.splitlines()[1:]) == (0, ["Written: mine.json", "Written: mine.png"])
    assert (tmp_path / "mine.png").is_file()
    assert len(load_ranking("mine.json", result["weights_hash"])[1]) == 4


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("discriminability", POCKET, "--max-images", 0), "error: --max-images must be at least 1, but got 0."),
        (("discriminability", POCKET, "--split", "test"), "error: --split test: the splits of pocket_all are val and"),
        (("discriminability", SCLIP, "--split", "test"), "error: --split test: voc21 has no such split here: "),
        (("rank-heads", "none.json"), "error: none.json does not exist: give files discriminability.json"),
    ],
)
def test_mistakes_are_one_sentence(analyze, command, message, tmp_path):  # noqa: F811
    code, printed, errors = analyze(*command)
    assert (code, printed) == (1, "")
    assert errors.startswith(message)
    assert len(errors.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
