"""Sweeps: every row is what tools/test.py gives, whatever is shared, interrupted or found again."""

import csv
import os
from itertools import product

import pytest

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.finished import run_key
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.methods.cliptrase import CLIPtrase
from mmseg_tfovss.sweeps import run as sweeps
from mmseg_tfovss.sweeps.run import sweep
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
    options = small_options(make_voc(folder), mini_clip, folder / "work", windows=False)
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
            hashed = run_key(config, {})
            results[hashed] = result = results.get(hashed) or run_test(config)
            scores = {name: str(result["metrics"][name]) for name in SCORES}
            rest = {"images": str(result["num_images"]), "error": "", "run_hash": hashed}
            cells = {key: str(value) for key, value in values.items()}
            rows.append({**cells, **scores, **rest})
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
    rows = sweep([CONFIG], base, GRID, tmp_path / "out", "cpu")
    assert inferences == [2, 1]
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("sweep of")]
    assert len(lines) == 8
    assert lines[-1] == "sweep of cliptrase_vit-b16_voc21: 8/8 batches, 0:00:00 left"
    assert rows == table(tmp_path / "out") == tested(base, *COMBINATIONS)
    assert len({row["mIoU"] for row in rows}) == 4
    assert list(rows[0]) == [*GRID, *SCORES, "images", "error", "run_hash"]


def test_methods_that_say_nothing_infer_for_each_combination(base, tmp_path, tested, inferences, monkeypatch):
    monkeypatch.setattr(CLIPtrase, "label_options", frozenset(), raising=False)
    rows = sweep([CONFIG], base, GRID, tmp_path / "out", "cpu")
    assert inferences == [2, 1] * 4
    assert rows == tested(base, *COMBINATIONS)


def test_windows_are_clustered_anew_for_each_combination(base, tmp_path, tested, shared, inferences):
    base["model.test_cfg"] = {"mode": "slide", "crop_size": 32, "stride": 16}
    rows = sweep([CONFIG], base, {"model.eps": [0.7, 1.1]}, tmp_path / "out", "cpu")
    assert inferences == [2, 1] * 2
    assert rows == tested(base, {"model.eps": 0.7}, {"model.eps": 1.1})
    assert rows[0]["mIoU"] != rows[1]["mIoU"]


def test_only_what_label_reads_is_shared(base, tmp_path, tested, shared, inferences):
    base["model.min_samples"] = 2
    grid = {"model.denoising": ["none", "cls_subtraction"], "model.eps": [0.7, 0.8]}
    rows = sweep([CONFIG], base, grid, tmp_path / "out", "cpu")
    assert inferences == [2, 1] * 2
    assert rows == tested(base, *({"model.denoising": a, "model.eps": b} for a, b in product(*grid.values())))
    assert len({row["mIoU"] for row in rows}) == 4


def test_options_of_the_head_can_be_shared(base, tmp_path, tested, monkeypatch, inferences):
    monkeypatch.setattr(CLIPtrase, "label_options", frozenset({"decode_head.prob_threshold"}), raising=False)
    base["model.eps"] = 0.3
    key = "model.decode_head.prob_threshold"
    rows = sweep([CONFIG], base, {key: [0.0, 0.3]}, tmp_path / "out", "cpu")
    assert inferences == [2, 1]
    assert rows == tested(base, {key: 0.0}, {key: 0.3})
    assert rows[0]["mIoU"] != rows[1]["mIoU"]


@pytest.mark.parametrize(("room", "calls"), [(0, [2, 1] * 4), (ROOM_FOR_TWO, [2, 1, 1, 1, 1])])
def test_what_memory_does_not_hold_is_computed_again(base, tmp_path, tested, shared, inferences, room, calls):
    rows = sweep([CONFIG], base, GRID, tmp_path / "out", "cpu", cache_bytes=room)
    assert inferences == calls
    assert rows == tested(base, *COMBINATIONS)


def test_first_samples_only(base, tmp_path, tested):
    one = {"model.eps": 0.7, "model.min_samples": 2}
    grid = {key: [value] for key, value in one.items()}
    rows = sweep([CONFIG], base, grid, tmp_path / "out", "cpu", samples=2)
    assert rows == tested(base | {"test_dataloader.dataset.indices": 2}, one)
    assert rows[0]["images"] == "2"
    assert sweep([CONFIG], base, grid, tmp_path / "out", "cpu", samples=99) == tested(base, one)
    with pytest.raises(ValueError, match="--samples must be at least 1, but got 0"):
        sweep([CONFIG], base, grid, tmp_path / "out", "cpu", samples=0)


@pytest.fixture
def refuse(monkeypatch):
    """Make labelling fail for these values of ``min_samples``."""
    refused = set()
    original = CLIPtrase.label

    def label(self, scene, refined):
        if self.min_samples in refused:
            raise ValueError("no such thing")
        return original(self, scene, refined)

    monkeypatch.setattr(CLIPtrase, "label", label)
    return refused


def test_a_row_whose_files_have_changed_meanwhile_is_none(mini_clip, tmp_path, monkeypatch):
    options = small_options(make_voc(tmp_path), mini_clip, tmp_path / "work", windows=False)
    label, evaluate = tmp_path / "VOC2012/SegmentationClass/1.png", sweeps._Results.evaluate
    whole, times = label.read_bytes(), label.stat()

    def changed(*given):
        scores = evaluate(*given)
        label.write_bytes(whole[:-12] + b"\0" * 12)
        os.utime(label, ns=(times.st_atime_ns, times.st_mtime_ns))
        return scores

    monkeypatch.setattr(sweeps._Results, "evaluate", changed)
    [row] = sweep([CONFIG], options, {"model.eps": [0.7]}, tmp_path / "out", "cpu")
    assert row["mIoU"] == ""
    assert row["error"].startswith("Files of the dataset, or that the config names, have changed while the sweep was")


def test_finished_rows_are_kept_and_not_evaluated_again(base, tmp_path, tested, shared, refuse, inferences, caplog):
    grid, out = GRID | {"model.eps": [0.7]}, tmp_path / "out"
    refuse.add(4)
    finished, failed = sweep([CONFIG], base, grid, out, "cpu")
    assert table(out) == [finished, failed] == [*tested(base, COMBINATIONS[0]), failed]
    assert {failed[score] for score in (*SCORES, "images")} == {""}
    assert (failed["model.min_samples"], failed["error"]) == ("4", "no such thing")
    assert "warning: failed: model.eps=0.7, model.min_samples=4: no such thing" in caplog.text
    refuse.clear()
    refuse.add(2)  # is not run again
    rows = sweep([CONFIG], base, grid, out, "cpu")
    assert rows == table(out)
    refuse.clear()
    assert rows == tested(base, *COMBINATIONS[:2])
    inferences.clear()
    assert sweep([CONFIG], base, grid, out, "cpu") == rows
    assert inferences == []
    assert [path.name for path in out.iterdir()] == ["sweep.csv"]  # failed rows have not made another table


def test_what_has_finished_before_an_interruption_is_kept(base, tmp_path, tested, shared, monkeypatch, inferences):
    label = CLIPtrase.label

    def interrupted(self, scene, refined):
        if self.min_samples == 4:
            raise KeyboardInterrupt
        return label(self, scene, refined)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(CLIPtrase, "label", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sweep([CONFIG], base, GRID, out, "cpu")
    assert table(out) == tested(base, COMBINATIONS[0])
    inferences.clear()
    assert sweep([CONFIG], base, GRID, out, "cpu") == tested(base, *COMBINATIONS)
    assert inferences == [2, 1]


# -- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("swept", "message"),
    [
        ({"model.epss": [1]}, r"^model\.epss=1: model\.epss: unknown option of CLIPtrase 'epss'. Did you mean eps"),
        ({"modle.eps": [1]}, r"Option 'modle\.eps': unknown config key 'modle'"),
        ({"model.eps": [0, -1]}, r"^model\.eps=0: model\.eps must be a positive number"),
        ({"model.eps": ["x"]}, r"^model\.eps=x: "),
        ({"model.min_samples": [1], "short_side": [32]}, r"^short_side: both swept and set"),
        ({}, r"^There is nothing to sweep: name options and their values"),
        ({"model.decode_head.vocabulary": ["voc20"]}, r"^model.decode_head.vocabulary=voc20: The vocabulary voc20"),
    ],
)
def test_what_does_not_work_is_named_before_anything_runs(base, tmp_path, swept, message, inferences):
    with pytest.raises(ValueError, match=message):
        sweep([CONFIG], base, swept, tmp_path / "out", "cpu")
    assert inferences == []
    assert not (tmp_path / "out").exists()


def test_a_combination_that_cannot_work_does_not_stop_the_others(base, tmp_path, tested, inferences):
    grid = {"model.eps": [0, 0.7], "model.min_samples": [2]}
    failed, finished = sweep([CONFIG], base, grid, tmp_path / "out", "cpu")
    assert failed["error"].startswith("model.eps must be a positive number")
    assert [finished] == tested(base, COMBINATIONS[0])
    assert table(tmp_path / "out") == [failed, finished]
    inferences.clear()
    assert sweep([CONFIG], base, grid | {"model.eps": [0.7]}, tmp_path / "out", "cpu") == [finished]
    assert inferences == []


def test_bugs_and_full_memory_are_recorded_with_their_kind(base, tmp_path, monkeypatch):
    monkeypatch.setattr(CLIPtrase, "label", lambda self, scene, refined: 1 / 0)
    [row] = sweep([CONFIG], base, {"model.eps": [0.7]}, tmp_path / "out", "cpu")
    assert row["error"] == "ZeroDivisionError: division by zero"
    monkeypatch.setenv("MMSEG_TFOVSS_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        sweep([CONFIG], base, {"model.eps": [0.7]}, tmp_path / "out", "cpu")


def test_missing_data_is_said_as_tools_test_says_it(base, tmp_path):
    base["test_dataloader.dataset.data_root"] = str(tmp_path / "nowhere")
    for samples in (None, 2):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            sweep([CONFIG], base, {"model.eps": [0.7, 0.8]}, tmp_path / "out", "cpu", samples)


# -- several configs ------------------------------------------------------------------------------------------------


@pytest.fixture
def ablations(tmp_path):
    """Three configs of one dataset: the plain one under two names, and one with another eps."""
    names = {}
    for name, change in (("a", ""), ("b", 'setting = "wide"\nmodel = dict(eps=0.9)'), ("c", "")):
        names[name] = tmp_path / f"{name}_voc21.py"
        names[name].write_text(f'_base_ = "{CONFIG}"\n{change}\n')
    return names


def test_configs_are_rows_and_share_what_they_can(base, ablations, tmp_path, tested, shared, inferences):
    grid = {"model.min_samples": [2, 4]}
    rows = sweep([ablations["a"], ablations["b"]], base, grid, tmp_path / "out", "cpu")
    assert inferences == [2, 1]
    assert list(rows[0]) == ["config", "dataset", *grid, *SCORES, "images", "error", "run_hash"]
    assert [(row["config"], row["model.min_samples"]) for row in rows] == [
        ("336 pixels", "2"),
        ("336 pixels", "4"),
        ("wide", "2"),
        ("wide", "4"),
    ]
    assert {row["dataset"] for row in rows} == {"voc21"}
    expected = tested(
        base, *({"model.eps": eps, "model.min_samples": count} for eps, count in product((1.1, 0.9), (2, 4)))
    )
    assert [[row[score] for score in SCORES] for row in rows] == [[row[score] for score in SCORES] for row in expected]
    inferences.clear()
    assert sweep([ablations["a"], ablations["b"]], base, grid, tmp_path / "out", "cpu") == rows
    assert inferences == []


def test_the_same_config_under_two_names_runs_once_and_has_two_rows(base, ablations, tmp_path, inferences):
    first, second = sweep([ablations["a"], ablations["c"]], base, {}, tmp_path / "out", "cpu")
    assert inferences == [2, 1]
    assert (first["config"], second["config"]) == ("a", "c")
    assert first == second | {"config": "a"}
    assert table(tmp_path / "out") == [first, second]
    assert sweep([ablations["a"], ablations["c"]], base, {}, tmp_path / "out", "cpu") == [first, second]
    assert table(tmp_path / "out") == [first, second]


def test_configs_are_called_by_their_settings_where_these_tell_them_apart(base, ablations, tmp_path):
    wide, narrow = ablations["b"], ablations["c"]
    narrow.write_text(f'_base_ = "{CONFIG}"\nsetting = "narrow"\nmodel = dict(eps=0.6)\n')
    rows = sweep([wide, narrow], base, {}, tmp_path / "out", "cpu")
    assert [row["config"] for row in rows] == ["wide", "narrow"]
    narrow.write_text(narrow.read_text().replace("narrow", "wide"))
    rows = sweep([wide, narrow], base, {}, tmp_path / "out", "cpu")
    assert [row["config"] for row in rows] == ["b", "c"]


def test_settings_with_a_type_can_be_swept_and_replaced(base, tmp_path, mini_clip):
    plain = {"type": "CLIPImageEncoder", "arch": "auto", "pretrained": str(mini_clip), "_delete_": True}
    grid = {"model.backbone": [plain, {**plain, "quick_gelu": False}], "model.min_samples": [2, 4]}
    options = {key: value for key, value in base.items() if not key.startswith("model.backbone")}
    rows = sweep([CONFIG], options | {"model.eps": 0.7}, grid, tmp_path / "out", "cpu")
    assert not any(row["error"] for row in rows)
    assert [row["model.backbone"].endswith("quick_gelu=False)") for row in rows] == [False, False, True, True]
    assert rows[0]["mIoU"] != rows[2]["mIoU"]
    assert plain["_delete_"]
