"""Finding, reading and refusing rankings of heads."""

import json
from pathlib import Path

import pytest

from mmseg_tfovss.encoders import head_ranking
from mmseg_tfovss.encoders.clip import CLIPImageEncoder
from mmseg_tfovss.encoders.head_ranking import BUNDLED, load_ranking, own_ranking_path, read_ranking

HASH = "ab" * 32
RANKING = {
    "version": 1,
    "weights_hash": HASH,
    "arch": "ViT-128x3-8/mini",
    "blocks": 3,
    "heads_per_block": 2,
    "datasets": [{"name": "pocket_all", "split": "train", "images": 3}],
    "commands": [],
    "heads": [[2, 1, 0.9], [1, 0, 0.9], [2, 0, 0.5]],
}


@pytest.fixture
def write(tmp_path):
    def write(**changes):
        path = tmp_path / "ranking.json"
        path.write_text(json.dumps({**RANKING, **changes}))
        return str(path)

    return write


def test_a_named_file(write):
    path = write()
    assert load_ranking(path, HASH) == (Path(path), ((2, 1), (1, 0), (2, 0)))


def test_the_pocket_clip_has_one_that_ships():
    backbone = CLIPImageEncoder("auto", "pocket")
    path, heads = load_ranking(None, backbone.weights_hash)
    assert path == BUNDLED / "pocket_clip.json"
    assert len(heads) == len(set(heads)) == 22
    assert {block for block, _ in heads} == set(range(1, 12))
    assert {head for _, head in heads} == {0, 1}


def test_what_ships_is_a_ranking_on_training_images_with_its_commands():
    paths = sorted(BUNDLED.glob("*.json"))
    assert paths
    for path in paths:
        content = read_ranking(path)
        assert {dataset["split"] for dataset in content["datasets"]} == {"train"}
        assert len(content["commands"]) == len(content["datasets"]) + 1
        assert len(content["heads"]) == (content["blocks"] - 1) * content["heads_per_block"]


def test_one_made_on_this_machine_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("MMSEG_TFOVSS_CACHE", str(tmp_path))
    path = own_ranking_path(HASH)
    path.parent.mkdir()
    path.write_text(json.dumps(RANKING))
    assert load_ranking(None, HASH) == (path, ((2, 1), (1, 0), (2, 0)))


def test_none_for_these_weights_names_the_commands_and_the_options(monkeypatch, tmp_path):
    monkeypatch.setattr(head_ranking, "BUNDLED", tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        load_ranking(None, HASH)
    message = str(caught.value)
    for part in (
        HASH[:12],
        "tfovss analyze discriminability",
        "tfovss analyze rank-heads",
        "model.ranking",
        "model.k=0",
    ):
        assert part in message
    assert "\n" not in message


def test_a_file_that_does_not_exist():
    with pytest.raises(FileNotFoundError, match=r"model\.ranking=none\.json does not exist: make it once with"):
        load_ranking("none.json", HASH)


def test_other_weights(write):
    with pytest.raises(
        ValueError, match=r"ranks the heads of other weights \(ViT-128x3-8/mini, abababababab\) than the"
    ):
        load_ranking(write(), "cd" * 32)


@pytest.mark.parametrize("text", ["", "nothing", "[]", "\udcff", '{"version": 2}', "{}"])
def test_other_files(text, tmp_path):
    path = tmp_path / "file.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=r"file\.json is not a ranking of heads"):
        load_ranking(str(path), HASH)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights_hash": 3}, "must be strings"),
        ({"heads": []}, "a list that is not empty"),
        ({"heads": None}, "a list that is not empty"),
        ({"blocks": "3"}, "two numbers and a list"),
        ({"heads": [[3, 0, 0.5]]}, r"\[3, 0, 0\.5\] must be \[block in 1\.\.2, head in 0\.\.1, VD in 0\.\.1\]"),
        ({"heads": [[0, 0, 0.5]]}, "must be"),
        ({"heads": [[1, 2, 0.5]]}, "must be"),
        ({"heads": [[1, True, 0.5]]}, "must be"),
        ({"heads": [[1, 0, 1.5]]}, "must be"),
        ({"heads": [[1, 0, "x"]]}, "must be"),
        ({"heads": [[1, 0]]}, "must be"),
        ({"heads": [7]}, "must be"),
        ({"heads": [[1, 0, 0.5], [1, 0, 0.5]]}, "listed twice"),
        ({"heads": [[1, 0, 0.5], [1, 1, 0.6]]}, "not sorted"),
    ],
)
def test_damaged_rankings(changes, message, write):
    with pytest.raises(ValueError, match=f"not a usable ranking of heads: .*{message}"):
        load_ranking(write(**changes), HASH)
