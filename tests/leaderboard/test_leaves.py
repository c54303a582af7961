"""A published number stands beside ours only where ours is that run."""

import json
from pathlib import Path

import pytest

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.identity import settings_of
from mmseg_tfovss.leaderboard import leaves
from mmseg_tfovss.leaderboard.published import published_numbers
from tests.leaderboard.boards import board, scored

CONFIG = Path(__file__).parents[2] / "configs/sclip/sclip_vit-b16_voc21.py"
NUMBERS = published_numbers({"voc21"})


@pytest.fixture(scope="module")
def settings():
    return settings_of(load_config(CONFIG))


def ours(settings, hash_="1" * 9, **changes):
    return scored(59.0, settings=settings, config_hash=hash_, **changes)


def beside(*results):
    """The published number beside each row, and the notes that warn."""
    made = board(*results, published=NUMBERS)
    cells = [line.cells["voc21"] for section in made.sections[:-1] for line in section.lines]
    return [cell.published for cell in cells], [note for note in made.notes if note.startswith("Careful")]


def test_the_settings_of_a_config_have_its_number_whatever_changes_none(settings):
    quick = {**settings, "test_dataloader.batch_size": "8", "model.window_batch": "2", "model.precision": '"bf16"'}
    for own in (settings, quick, {**settings, "model.backbone.pretrained": '"/data/ViT-B-16.pt"'}):
        assert beside(ours(own)) == (["59.63"], [])


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("model.decode_head.logit_scale", 10, "model.decode_head.logit_scale is 10, not 65"),
        ("model.own", "x", 'model.own is "x", not absent'),
        ("test_dataloader.dataset.ann_file", "mine.txt", 'test_dataloader.dataset.ann_file is "mine.txt", not "'),
        ("model.decode_head.vocabulary", "./mine.txt", 'model.decode_head.vocabulary is "./mine.txt", not "voc21"'),
        ("model.type", "Mine", "cannot be compared with a config of this package, because there is none here"),
    ],
)
def test_other_settings_have_none_and_are_told(settings, name, value, told):
    published, [note] = beside(ours({**settings, name: json.dumps(value)}))
    assert published == [""]
    assert note.startswith("Careful: SCLIP on ViT-B-16/openai (voc21) ")
    assert told in note
    assert note.endswith(": no published number stands beside it.")


def test_a_row_whose_label_tells_a_difference_has_none(settings):
    other = {**settings, "model.decode_head.logit_scale": "10"}
    assert beside(ours(settings), ours(other, "2" * 9)) == (["", ""], [])
    assert beside(ours(settings), ours(settings, weights_hash="x")) == (["", ""], NOTE_OF_WEIGHTS)
    assert beside(ours(settings), ours(settings, vocabulary_hash="x")) == (["", ""], [])
    assert beside(ours(settings, overrides={"short_side": "336"})) == ([""], [])


NOTE_OF_WEIGHTS = ["Careful: results of SCLIP on ViT-B-16/openai have 2 different weights: they are not comparable."]


def test_results_that_do_not_record_their_settings_go_by_name_and_say_so():
    note = "Careful: 1 run without recorded settings: published numbers stand there by name only."
    assert beside(ours({})) == (["59.63"], [note])


def test_where_no_config_is_nothing_can_be_compared(settings, monkeypatch):
    monkeypatch.setattr(leaves, "config_files", dict)
    leaves._leaves.cache_clear()
    published, [note] = beside(ours(settings))
    leaves._leaves.cache_clear()
    assert published == [""]
    assert "cannot be compared with a config of this package, because there is none here" in note
