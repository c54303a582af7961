"""Configs, options and values from the command line, and how they are written."""

import pytest

from mmseg_tfovss.sweeps.values import parse_swept, split_arguments, split_values, value_label


def test_configs_and_options_may_come_in_any_order(tmp_path):
    odd = tmp_path / "a=b.py"
    odd.touch()
    paths, pairs = split_arguments(["x.py", "model.eps=1,2", str(odd), "y.py", "a=1"])
    assert list(map(str, paths)) == ["x.py", str(odd), "y.py"]
    assert pairs == ["model.eps=1,2", "a=1"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1, 2 ,3", ["1", "2", "3"]),
        ("[1,2],(3,4)", ["[1,2]", "(3,4)"]),
        ("{'a': 1, 'b': [2, {'c': (3, 4)}], 'd': 5},7", ["{'a': 1, 'b': [2, {'c': (3, 4)}], 'd': 5}", "7"]),
        ("'a,b',c", ["'a,b'", "c"]),
        ("{'type': 'x),y'},z", ["{'type': 'x),y'}", "z"]),
        ("it's,that's", ["it's", "that's"]),
        ("", [""]),
        ("1,,2", ["1", "", "2"]),
    ],
)
def test_commas_in_brackets_and_quotes_do_not_separate(text, parts):
    assert split_values(text) == parts


def test_values_are_read_as_on_the_command_line():
    pairs = [
        "model.eps=0.5, 1,1e-1",
        "a=none,None,true",
        "b=(224,112),7",
        "c=one",
        "d=[8,16],[4]",
        "e={'type':'X','n':[1,2]},{'type':'Y'}",
    ]
    assert parse_swept(pairs) == {
        "model.eps": [0.5, 1, 0.1],
        "a": ["none", None, True],
        "b": [(224, 112), 7],
        "c": ["one"],
        "d": [[8, 16], [4]],
        "e": [{"type": "X", "n": [1, 2]}, {"type": "Y"}],
    }


@pytest.mark.parametrize("pair", ["model.eps", "model.eps=", "=1", "model.eps=1,", "model.eps=1,,2"])
def test_lists_without_values_are_refused(pair):
    with pytest.raises(ValueError, match=r"A sweep takes KEY=VALUE,VALUE,\.\.\. without empty values, but got"):
        parse_swept([pair])


@pytest.mark.parametrize("pairs", [["a=1,2,1"], ["a=1", "a=2"]])
def test_nothing_is_given_twice(pairs):
    with pytest.raises(ValueError, match="every option, and every value of it, can be given once"):
        parse_swept(pairs)


def test_values_of_different_types_are_different_values():
    assert parse_swept(["a=1,1.0,'1'"]) == {"a": [1, 1.0, "1"]}


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ({"type": "DINO", "_delete_": True}, "DINO"),
        ({"type": "CLIPGraph", "layers": [12]}, "CLIPGraph(layers=[12])"),
        ({"type": "A", "b": {"type": "B", "c": 1}}, "A(b=B(c=1))"),
        ({"mode": "whole"}, "{'mode': 'whole'}"),
        (0.5, "0.5"),
        (None, "None"),
    ],
)
def test_labels_of_settings_are_their_type_and_what_else_is_set(value, label):
    assert value_label(value) == label
