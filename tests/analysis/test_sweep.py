"""Sweeps: every row is what tools/test.py gives, whatever is shared, interrupted or found again."""

import csv
from itertools import product

import numpy as np
import pytest

from mmseg_tfovss.analysis.sweep import parse_swept, sweep
from mmseg_tfovss.analysis.sweep_picture import draw_sweep
from mmseg_tfovss.analysis.sweep_table import adopt_rows, write_rows
from mmseg_tfovss.config import config_hash, load_config
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.methods.cliptrase import CLIPtrase
from mmseg_tfovss.vocabulary import load_vocabulary
from tests.engine.test_run import make_voc, small_options
from tests.parity.cases import FOLDER

CONFIG = FOLDER.parents[1] / "configs/cliptrase/cliptrase_vit-b16_voc21.py"
GRID = {"model.eps": [0.7, 0.8], "model.min_samples": [2, 4]}
COMBINATIONS = [dict(zip(GRID, values, strict=True)) for values in product(*GRID.values())]
QUERIES = len(load_vocabulary("voc21_cliptrase").queries)
# In whole mode, Q + N + 1 maps and image of 48 x 48 pixels (36 patches of 8), and labels twice, as int64.
ROOM_FOR_TWO = 2 * ((QUERIES + 36 + 1) * 36 * 4 + 48 * 48 * (3 * 4 + 2 * 8))
# Runs of the same second share a name.
pytestmark = pytest.mark.filterwarnings("ignore:.*instance named of:UserWarning")
SCORES = ("mIoU", "pAcc", "mAcc", "fwIoU")


@pytest.fixture(scope="module")
def small(tmp_path_factory, mini_clip):
    folder = tmp_path_factory.mktemp("sweep")
    options = small_options(make_voc(folder), mini_clip, folder / "work")
    plain = {"test_dataloader.batch_size": 2, "test_dataloader.dataset.serialize_data": False}
    return options | plain


@pytest.fixture
def base(small):
    return dict(small)


@pytest.fixture(scope="module")
def tested():
    """What tools/test.py gives, run once for each config."""
    results = {}

    def run(options, *combinations):
        rows = []
        for values in combinations:
            config = load_config(CONFIG, {**options, **values})
            hashed = config_hash(config)
            results[hashed] = result = results.get(hashed) or run_test(config)
            scores = {name: str(result["metrics"][name]) for name in SCORES}
            cells = {key: str(value) for key, value in values.items()}
            rows.append({**cells, **scores, "images": str(result["num_images"]), "config_hash": hashed})
        return rows

    return run


@pytest.fixture
def inferences(monkeypatch):
    """Numbers of images that inference was called with."""
    calls = []
    original = CLIPtrase.inference

    def counted(self, inputs, metas):
        calls.append(len(inputs))
        return original(self, inputs, metas)

    monkeypatch.setattr(CLIPtrase, "inference", counted)
    return calls


@pytest.fixture
def shared(monkeypatch):
    monkeypatch.setattr(CLIPtrase, "label_options", frozenset({"eps", "min_samples"}), raising=False)


def table(folder, name="sweep.csv"):
    with (folder / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_are_those_of_the_test_run_with_inference_shared(base, tmp_path, tested, shared, inferences, capfd):
    rows = sweep(CONFIG, base, GRID, tmp_path / "out", "cpu")
    assert inferences == [2, 1]
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("sweep of")]
    assert len(lines) == 8
    assert lines[-1] == "sweep of cliptrase_vit-b16_voc21: 8/8 batches, 0:00:00 left"
    assert rows == table(tmp_path / "out") == tested(base, *COMBINATIONS)
    assert len({row["mIoU"] for row in rows}) == 4
    assert list(rows[0]) == [*GRID, *SCORES, "images", "config_hash"]


def test_methods_that_say_nothing_infer_for_each_combination(base, tmp_path, tested, inferences, monkeypatch):
    monkeypatch.setattr(CLIPtrase, "label_options", frozenset(), raising=False)
    rows = sweep(CONFIG, base, GRID, tmp_path / "out", "cpu")
    assert inferences == [2, 1] * 4
    assert rows == tested(base, *COMBINATIONS)


def test_windows_are_clustered_anew_for_each_combination(base, tmp_path, tested, shared, inferences):
    base["model.test_cfg.mode"] = "slide"
    rows = sweep(CONFIG, base, {"model.eps": [0.7, 1.1]}, tmp_path / "out", "cpu")
    assert inferences == [2, 1] * 2
    assert rows == tested(base, {"model.eps": 0.7}, {"model.eps": 1.1})
    assert rows[0]["mIoU"] != rows[1]["mIoU"]


def test_only_what_label_reads_is_shared(base, tmp_path, tested, shared, inferences):
    base["model.min_samples"] = 2
    grid = {"model.denoising": ["none", "cls_subtraction"], "model.eps": [0.7, 0.8]}
    rows = sweep(CONFIG, base, grid, tmp_path / "out", "cpu")
    assert inferences == [2, 1] * 2
    assert rows == tested(base, *({"model.denoising": a, "model.eps": b} for a, b in product(*grid.values())))
    assert len({row["mIoU"] for row in rows}) == 4


def test_options_of_the_head_can_be_shared(base, tmp_path, tested, monkeypatch, inferences):
    monkeypatch.setattr(CLIPtrase, "label_options", frozenset({"decode_head.prob_threshold"}), raising=False)
    base["model.eps"] = 0.3
    key = "model.decode_head.prob_threshold"
    rows = sweep(CONFIG, base, {key: [0.0, 0.3]}, tmp_path / "out", "cpu")
    assert inferences == [2, 1]
    assert rows == tested(base, {key: 0.0}, {key: 0.3})
    assert rows[0]["mIoU"] != rows[1]["mIoU"]


@pytest.mark.parametrize(("room", "calls"), [(0, [2, 1] * 4), (ROOM_FOR_TWO, [2, 1, 1, 1, 1])])
def test_what_memory_does_not_hold_is_computed_again(base, tmp_path, tested, shared, inferences, room, calls):
    rows = sweep(CONFIG, base, GRID, tmp_path / "out", "cpu", cache_bytes=room)
    assert inferences == calls
    assert rows == tested(base, *COMBINATIONS)


def test_first_samples_only(base, tmp_path, tested):
    one = {"model.eps": 0.7, "model.min_samples": 2}
    grid = {key: [value] for key, value in one.items()}
    rows = sweep(CONFIG, base, grid, tmp_path / "out", "cpu", samples=2)
    assert rows == tested(base | {"test_dataloader.dataset.indices": 2}, one)
    assert rows[0]["images"] == "2"
    assert sweep(CONFIG, base, grid, tmp_path / "out", "cpu", samples=99) == tested(base, one)
    with pytest.raises(ValueError, match="--samples must be at least 1, but got 0"):
        sweep(CONFIG, base, grid, tmp_path / "out", "cpu", samples=0)


@pytest.fixture
def refuse(monkeypatch):
    """Make labelling fail for these values of ``min_samples``."""
    refused = set()
    original = CLIPtrase.label

    def label(self, logits):
        if self.min_samples in refused:
            raise ValueError("no such thing")
        return original(self, logits)

    monkeypatch.setattr(CLIPtrase, "label", label)
    return refused


def test_finished_rows_are_kept_and_not_evaluated_again(base, tmp_path, tested, shared, refuse, inferences):
    grid, out = GRID | {"model.eps": [0.7]}, tmp_path / "out"
    refuse.add(4)
    with pytest.raises(ValueError, match=r"^model.eps=0.7, model.min_samples=4: no such thing$"):
        sweep(CONFIG, base, grid, out, "cpu")
    assert table(out) == tested(base, COMBINATIONS[0])
    refuse.clear()
    refuse.add(2)  # is not run again
    rows = sweep(CONFIG, base, grid, out, "cpu")
    assert rows == table(out)
    refuse.clear()
    assert rows == tested(base, *COMBINATIONS[:2])
    inferences.clear()
    assert sweep(CONFIG, base, grid, out, "cpu") == rows
    assert inferences == []


# -- the table ------------------------------------------------------------------------------------------------------

HEADER = ["model.eps", "mIoU", "config_hash"]
A, B, C = ({"model.eps": eps, "mIoU": miou, "config_hash": eps * 3} for eps, miou in ("1a", "2b", "3c"))


def test_a_table_with_other_rows_is_renamed_and_still_of_use(tmp_path):
    path = tmp_path / "new/sweep.csv"
    assert adopt_rows(path, HEADER, ["111"]) == {}
    assert not path.parent.exists()
    write_rows(path, HEADER, [A, B])
    assert adopt_rows(path, HEADER, ["111", "222", "333"]) == {"111": A, "222": B}
    assert [file.name for file in path.parent.iterdir()] == ["sweep.csv"]
    assert adopt_rows(path, HEADER, ["333", "222"]) == {"222": B}
    assert (table(path.parent), table(path.parent, "sweep.1.csv")) == ([B], [A, B])
    assert adopt_rows(path, HEADER, ["333"]) == {}
    assert table(path.parent, "sweep.2.csv") == [B]
    assert not path.exists()
    write_rows(path, HEADER, [C])
    found = adopt_rows(path, HEADER, ["333", "222", "111"])
    assert found == {"111": A, "222": B, "333": C}
    assert table(path.parent) == [C, B, A]


def test_rows_with_other_columns_do_not_count(tmp_path):
    path = tmp_path / "sweep.csv"
    write_rows(path, HEADER, [A])
    header = [HEADER[0], "more", *HEADER[1:]]
    assert adopt_rows(path, header, ["111"]) == {}
    assert table(tmp_path, "sweep.1.csv") == [A]


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "\0\xff", "model.eps,mIoU,config_hash\n1,a"])
def test_a_damaged_table_is_renamed(tmp_path, text):
    (tmp_path / "sweep.csv").write_text(text, encoding="latin-1")
    assert adopt_rows(tmp_path / "sweep.csv", HEADER, ["111"]) == {}
    assert (tmp_path / "sweep.1.csv").read_text(encoding="latin-1") == text
    assert not (tmp_path / "sweep.csv").exists()


# -- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("swept", "message"),
    [
        ({"model.epss": [1]}, r"^model\.epss=1: model\.epss: unknown option of CLIPtrase 'epss'. Did you mean eps"),
        ({"modle.eps": [1]}, r"Option 'modle\.eps': unknown config key 'modle'"),
        ({"model.eps": [0.5, 0]}, r"^model\.eps=0: model\.eps must be a positive number"),
        ({"model.eps": ["x"]}, r"^model\.eps=x: "),
        ({"model.min_samples": [1], "short_side": [32]}, r"^short_side: swept and set at the same time"),
        ({"model.decode_head.vocabulary": ["voc20"]}, r"^model.decode_head.vocabulary=voc20: The vocabulary voc20"),
    ],
)
def test_what_does_not_work_is_named_before_anything_runs(base, tmp_path, swept, message, inferences):
    with pytest.raises(ValueError, match=message):
        sweep(CONFIG, base, swept, tmp_path / "out", "cpu")
    assert inferences == []
    assert not (tmp_path / "out").exists()


def test_values_are_read_as_on_the_command_line():
    pairs = ["model.eps=0.5, 1,1e-1", "a=none,None,true", "b=(224,112),7", "c=one", "d=[8,16],[4]"]
    assert parse_swept(pairs) == {
        "model.eps": [0.5, 1, 0.1],
        "a": ["none", None, True],
        "b": [(224, 112), 7],
        "c": ["one"],
        "d": [[8, 16], [4]],
    }


@pytest.mark.parametrize("pair", ["model.eps", "model.eps=", "=1", "model.eps=1,", "model.eps=1,,2"])
def test_lists_without_values_are_refused(pair):
    with pytest.raises(ValueError, match=r"--set takes KEY=VALUE,VALUE,\.\.\. without empty values, but got"):
        parse_swept([pair])


@pytest.mark.parametrize("pairs", [["a=1,2,1"], ["a=1", "a=2"]])
def test_nothing_is_given_twice(pairs):
    with pytest.raises(ValueError, match="every option, and every value of it, can be given once"):
        parse_swept(pairs)


# -- pictures -------------------------------------------------------------------------------------------------------


def test_heat_map_has_a_row_per_first_value_and_the_numbers_in_its_cells(tmp_path):
    scores = np.array([[10.0, 20.126, 30], [40, 50, 60]])
    figure = draw_sweep({"model.eps": [0.5, 0.7], "model.min_samples": [1, 3, 5]}, scores, "mIoU", "a title")
    axis, colours = figure.axes
    assert np.array_equal(axis.images[0].get_array(), scores)
    cells = {text.get_position(): text.get_text() for text in axis.texts}
    assert cells == {(c, r): f"{scores[r, c]:.2f}" for r in range(2) for c in range(3)}
    assert [text.get_text() for text in axis.get_yticklabels()] == ["0.5", "0.7"]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["1", "3", "5"]
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_title()) == ("min_samples", "eps", "a title")
    assert colours.get_ylabel() == "mIoU (%)"
    assert [text.get_text() for text in axis.texts if text.get_fontweight() == "bold"] == ["60.00"]
    figure.savefig(tmp_path / "map.png")


def test_one_option_is_a_line(tmp_path):
    figure = draw_sweep({"model.denoising": ["none", "self_weight"]}, np.array([1.0, 2.5]), "mIoU", "a title")
    (axis,) = figure.axes
    assert axis.lines[0].get_ydata().tolist() == [1.0, 2.5]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["none", "self_weight"]
    assert [text.get_text() for text in axis.texts] == ["1.00", "2.50"]
    figure.savefig(tmp_path / "line.png")
