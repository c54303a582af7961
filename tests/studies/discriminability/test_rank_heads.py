"""One ranking from the discriminability of several datasets."""

import json

import pytest

from mmseg_tfovss.encoders.head_ranking import load_ranking, read_ranking
from mmseg_tfovss.studies.discriminability.rank_heads import rank_heads, read_results, write_ranking

HASH = "ab" * 32


def result(dataset, head_vd, **changes):
    return {
        "schema_version": 1,
        "dataset": dataset,
        "split": "train",
        "images": 5,
        "images_without_pairs": 1,
        "short_side": 192,
        "seed": 0,
        "sample_pairs": None,
        "weights_hash": HASH,
        "arch": "ViT",
        "blocks": 3,
        "heads": 2,
        "command": f"look at {dataset}",
        "head_VD": head_vd,
        **changes,
    }


@pytest.fixture
def two():
    # The second one includes the last block.
    return [result("a", [[0.5, 0.6], [0.9, 0.7]]), result("b", [[0.5, 0.8], [0.6, 0.2], [1.0, 1.0]])]


def test_mean_over_datasets_without_the_last_block(two, tmp_path):
    ranking = rank_heads(two, "rank")
    assert ranking["heads"] == [[2, 0, 0.75], [1, 1, 0.7], [1, 0, 0.5], [2, 1, 0.45]]
    assert ranking["commands"] == ["look at a", "look at b", "rank"]
    assert [(d["name"], d["split"], d["images"], d["without_pairs"]) for d in ranking["datasets"]] == [
        ("a", "train", 5, 1),
        ("b", "train", 5, 1),
    ]
    path = tmp_path / "new" / "ranking.json"
    write_ranking(ranking, path)
    assert read_ranking(path) == ranking
    assert load_ranking(str(path), HASH)[1] == ((2, 0), (1, 1), (1, 0), (2, 1))
    assert "    [2, 0, 0.75],\n    [1, 1, 0.7],\n" in path.read_text()


def test_equal_heads_keep_their_order():
    assert [entry[:2] for entry in rank_heads([result("a", [[0.5, 0.5], [0.5, 0.5]])])["heads"]] == [
        [1, 0],
        [1, 1],
        [2, 0],
        [2, 1],
    ]


def test_mixed_weights_are_refused(two):
    two[1]["weights_hash"] = "cd" * 32
    with pytest.raises(ValueError, match=r"different weights \(a: ViT abababababab, b: ViT cdcdcdcdcdcd\)"):
        rank_heads(two)


def test_one_dataset_twice_is_refused(two):
    two[1]["dataset"] = "a"
    with pytest.raises(ValueError, match="would count twice"):
        rank_heads(two)


def test_evaluation_images_are_a_warning(caplog):
    rank_heads([result("a", [[0.5, 0.6], [0.9, 0.7]], split="val")])
    assert "will know the evaluation images of a: use --split train" in caplog.text


def test_files(two, tmp_path):
    path = tmp_path / "discriminability.json"
    path.write_text(json.dumps(two[0]))
    assert read_results([path]) == two[:1]
    with pytest.raises(FileNotFoundError, match=r"none\.json does not exist"):
        read_results([tmp_path / "none.json"])
    for text in ("nothing", "[]", "{}", json.dumps({**two[0], "schema_version": 0})):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"is not what tfovss analyze discriminability writes"):
            read_results([path])
