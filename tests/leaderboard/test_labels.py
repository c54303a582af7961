"""What tells runs apart that are printed alike."""

import json
import random

import pytest

from mmseg_tfovss.leaderboard.labels import change_items, tell_apart
from tests.leaderboard.boards import board, scored


def run(dataset="voc21", settings=None, **changes):
    """A result whose settings are written as engine writes them, with a hash of its own for each."""
    texts = {name: json.dumps(value) for name, value in (settings or {}).items()}
    facts = {"config_hash": f"{dataset} {sorted(texts.items())}", **changes}
    return scored(10.0, dataset=dataset, settings=texts, **facts)


def own(alpha, dataset="voc21", **more):
    """A run of somebody's method with an option of its own, and what belongs to its dataset."""
    facts = {"dataset": dataset, "model.decode_head.vocabulary": dataset, "test_dataloader.dataset.ann_file": dataset}
    return run(dataset, {"model.type": "Own", "model.alpha": alpha, **facts, **more})


def rows(*results, **options):
    """Label and datasets of each row."""
    lines = [line for section in board(*results, **options).sections for line in section.lines]
    return sorted((line.setting, sorted(set(line.cells) - {"average"})) for line in lines)


def test_two_settings_are_two_rows_and_other_datasets_join_the_row_with_theirs():
    results = [own(0.5), own(1.0), own(0.5, "voc20"), own(1.0, "ade20k"), own(0.5, "ade20k")]
    assert rows(*results) == [
        ("(model.alpha=0.5)", ["ade20k", "voc20", "voc21"]),
        ("(model.alpha=1.0)", ["ade20k", "voc21"]),
    ]
    assert rows(own(0.5), own(0.5, "voc20")) == [("", ["voc20", "voc21"])]


def test_what_belongs_to_a_dataset_does_not_part_the_others():
    other = own(0.5, **{"test_dataloader.dataset.ann_file": "mine.txt"})
    assert rows(own(0.5), other, own(0.5, "voc20"), own(0.5, "ade20k")) == [
        ("", ["ade20k", "voc20"]),
        ("(test_dataloader.dataset.ann_file=mine.txt)", ["voc21"]),
        ("(test_dataloader.dataset.ann_file=voc21)", ["voc21"]),
    ]


def test_what_is_computed_at_a_time_does_not_part_the_others():
    fast = own(0.5, **{"test_dataloader.batch_size": 8})
    assert rows(own(0.5), fast, own(0.5, "voc20")) == [
        ("", ["voc20"]),
        ("(test_dataloader.batch_size not set)", ["voc21"]),
        ("(test_dataloader.batch_size=8)", ["voc21"]),
    ]


def test_an_option_that_only_one_of_two_states_is_named_in_both():
    assert rows(own(0.5), own(0.5, **{"model.beta": True})) == [
        ("(model.beta not set)", ["voc21"]),
        ("(model.beta=true)", ["voc21"]),
    ]


def test_equal_settings_with_other_weights_or_words_say_so():
    one, other = "1" * 12, "1" * 7 + "2" * 5
    voc20 = {**own(0.5, "voc20"), "weights_hash": other}
    found = rows({**own(0.5), "weights_hash": one}, {**own(0.5), "weights_hash": other}, voc20)
    assert found == [("(weights 11111111)", ["voc21"]), ("(weights 11111112)", ["voc20", "voc21"])]
    words = [{**own(0.5), "vocabulary_hash": text * 20} for text in "ab"]
    assert rows(*words, own(0.5, "voc20")) == [
        ("", ["voc20"]),
        ("(words aaaaaaa)", ["voc21"]),
        ("(words bbbbbbb)", ["voc21"]),
    ]


def test_weights_that_differ_between_datasets_are_no_row():
    found = rows({**own(0.5), "weights_hash": "a" * 9}, {**own(0.5, "voc20"), "weights_hash": "b" * 9})
    assert found == [("(weights aaaaaaa)", ["voc21"]), ("(weights bbbbbbb)", ["voc20"])]


def test_results_that_do_not_record_their_settings_are_told_by_their_hash():
    older = [run(config_hash=text * 10) for text in "ab"]
    assert rows(*older) == [("(settings aaaaaaa)", ["voc21"]), ("(settings bbbbbbb)", ["voc21"])]
    assert rows(own(0.5), older[0], own(0.5, "voc20")) == [("", ["voc20", "voc21"]), ("(settings aaaaaaa)", ["voc21"])]
    newer = [{**own(0.5), "config_hash": text * 10} for text in "ab"]  # equal as far as they are recorded
    assert rows(*newer) == [("(settings aaaaaaa)", ["voc21"]), ("(settings bbbbbbb)", ["voc21"])]


def test_one_value_in_several_places_is_said_once_and_other_options_of_that_name_are_not_hidden():
    def sized(size, **more):
        return own(0.5, **{"short_side": size, "model.preprocessor.short_side": size, **more})

    assert rows(sized(336), sized(448)) == [("(short_side=336)", ["voc21"]), ("(short_side=448)", ["voc21"])]
    apart = rows(sized(336), own(0.5, **{"short_side": 336, "model.preprocessor.short_side": 96}))
    assert [label for label, _ in apart] == [
        "(model.preprocessor.short_side=336)",
        "(model.preprocessor.short_side=96)",
    ]


def test_what_the_command_line_says_is_not_said_again():
    changed = {**own(0.7), "overrides": {"model.alpha": "0.7"}}
    assert rows(own(0.5), changed) == [("", ["voc21"]), ("(model.alpha=0.7)", ["voc21"])]
    both = [{**own(0.7, **{"model.beta": beta}), "overrides": {"model.alpha": "0.7"}} for beta in (1, 2)]
    assert [label for label, _ in rows(*both)] == ["(model.alpha=0.7, model.beta=1)", "(model.alpha=0.7, model.beta=2)"]
    kinds = [{**own(value), "overrides": {"model.alpha": "0.7"}} for value in (0.7, "0.7")]  # alike as text
    assert [label for label, _ in rows(*kinds)] == ['(model.alpha="0.7")', "(model.alpha=0.7)"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.5, "0.5"),
        (True, "true"),
        (None, "null"),
        ("a", "a "),
        ("x" * 100 + "1", "x" * 100 + "2"),
        (list(range(90)), [*range(89), 0]),
        ("1, model.beta=2", 1),
        ([1, 2], "[1, 2]"),
    ],
)
def test_values_that_look_alike_stay_apart(one, other):
    labels = {label for label, _ in rows(own(one), own(other))}
    assert len(labels) == 2
    assert max(map(len, labels)) < 100
    [first], [second] = ([item] for item in change_items({"a": str(one) + "x", "b": str(other) + "y"}))
    assert first.partition("=")[2] != second.partition("=")[2]


def test_a_setting_that_is_no_json_is_shown_as_it_is():
    odd = {**own(0.5), "config_hash": "odd", "settings": {**own(0.5)["settings"], "model.alpha": "{"}}
    assert [label for label, _ in rows(own(0.5), odd)] == ["(model.alpha='{')", "(model.alpha=0.5)"]


def test_many_differences_are_counted_and_told_by_a_hash():
    def many(last):
        return own(0.5, **{f"model.option{n:02}": last for n in range(20)})

    labels = [label for label, _ in rows(many(1), many(2))]
    assert len(set(labels)) == 2
    assert all("model.option00=" in label and "and 12 more settings " in label for label in labels)


def test_two_results_of_one_run_on_a_board_do_not_take_each_others_place():
    assert rows(own(0.5), own(0.5)) == [("", ["voc21"]), ("", ["voc21"])]


def test_every_run_has_a_cell_and_no_two_of_a_dataset_share_a_label():
    """Whatever the settings: drawn so that most pairs collide in something."""
    draw = random.Random(0)
    names = ("model.alpha", "model.beta", "test_dataloader.dataset.ann_file", "model.decode_head.vocabulary")
    for _ in range(60):
        results = {}
        for _ in range(draw.randint(2, 12)):
            dataset = draw.choice(("voc21", "voc20", "zoo"))
            settings = {name: draw.choice((0, 1, "1")) for name in names if draw.random() < 0.7}
            result = run(
                dataset,
                settings if draw.random() < 0.8 else {},
                weights_hash=draw.choice("xy") * 9,
                vocabulary_hash=draw.choice("xy") * 9,
                overrides=draw.choice(({}, {"model.alpha": "1"})),
            )
            if not result["settings"]:
                result["config_hash"] = draw.choice("pq") * 9
            facts = ("dataset", "config_hash", "weights_hash", "vocabulary_hash", "overrides")
            results[str([result[name] for name in facts])] = result
        labels = tell_apart(list(results.values()))
        shown = [(r["dataset"], str(r["overrides"]), label) for r, label in zip(results.values(), labels, strict=True)]
        assert len(set(shown)) == len(shown)
        lines = board(*results.values()).sections[0].lines
        datasets = {"voc21", "voc20", "zoo"}
        assert sum(len(datasets & set(line.cells)) for line in lines) == len(results)
