import json
from pathlib import Path

import pytest

from mmseg_tfovss.cluster.run_list import plan_runs, run_cost, run_pixels
from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine import finished
from mmseg_tfovss.engine.identity import settings_of
from tests.engine.test_finished import result_of

CONFIGS = Path(__file__).parents[2] / "configs"
POCKET = CONFIGS / "sclip/sclip_vit-pocket_pocket_all.py"
VOC = CONFIGS / "sclip/sclip_vit-b16_voc21.py"
CITYSCAPES = CONFIGS / "sclip/sclip_vit-b16_cityscapes.py"
ADE = CONFIGS / "sclip/sclip_vit-b16_ade20k.py"


def write_finished(folder, path, pairs=None, **changes):
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(result_of(load_config(path, pairs), **changes)))


def test_heavier_datasets_come_first_and_equal_ones_as_named(tmp_path):
    other = CONFIGS / "maskclip/maskclip_vit-pocket_pocket_all.py"
    runs, finished = plan_runs([POCKET, VOC, other, ADE, CITYSCAPES], work_dirs=tmp_path)
    assert [run.config for run in runs] == [CITYSCAPES, ADE, VOC, POCKET, other]
    assert finished == []
    assert runs[0].folder == tmp_path / "sclip_vit-b16_cityscapes"


def test_pixels_are_images_times_windows_times_their_area():
    assert run_pixels(load_config(VOC)) == 1449 * (2 * 3) * 224**2  # 336 x 448
    assert run_pixels(load_config(CITYSCAPES)) == 500 * (4 * 9) * 224**2  # 560 x 1120
    whole = load_config(VOC, {"model.test_cfg.mode": "whole"})
    assert run_pixels(whole) == 1449 * 336 * 448
    squares = ({"model.centre_square": True}, {"model.stretch_to_square": True})
    for square in squares:
        assert run_pixels(load_config(VOC, {"model.test_cfg.mode": "whole", **square})) == 1449 * 336**2
    rectangles = {"model.test_cfg.crop_size": (336, 224), "model.test_cfg.stride": (336, 224)}
    assert run_pixels(load_config(VOC, rectangles)) == 1449 * 2 * 336 * 224


def test_larger_networks_and_further_ones_cost_more(tmp_path):
    large = CONFIGS / "sclip/sclip_vit-l14_voc21.py"
    graph = CONFIGS / "dslo/dslo_vit-b16_voc21.py"
    around = CONFIGS / "lht_clip/lht_clip_vit-b16_voc21.py"  # another method as its base is no further network
    assert [run.config for run in plan_runs([VOC, large, graph], work_dirs=tmp_path)[0]] == [graph, large, VOC]
    costs = [run_cost(load_config(path)) for path in (VOC, around)]
    assert costs[0] == costs[1] == run_pixels(load_config(VOC))


@pytest.mark.parametrize(("indices", "images"), [(8, 8), ([0, 5], 2), (5000, 1449)])
def test_a_part_of_a_dataset_is_lighter(indices, images):
    part = load_config(VOC, {"test_dataloader.dataset.indices": indices})
    assert run_pixels(part) == images * 6 * 224**2


def test_a_dataset_of_unknown_size_comes_first(tmp_path):
    own = tmp_path / "own.py"
    own.write_text(f"_base_ = {str(POCKET)!r}\ndataset = 'mine'\n")
    assert plan_runs([CITYSCAPES, own])[0][0].config == own


def test_finished_runs_are_apart(tmp_path):
    write_finished(tmp_path / POCKET.stem, POCKET)
    runs, finished = plan_runs([POCKET, VOC], work_dirs=tmp_path)
    assert [run.config for run in runs] == [VOC]
    assert [run.config for run in finished] == [POCKET]


def test_a_dataset_is_looked_at_once_for_many_runs(tmp_path, monkeypatch):
    paths = [POCKET, CONFIGS / "maskclip/maskclip_vit-pocket_pocket_all.py"]
    for path in paths:
        write_finished(tmp_path / path.stem, path)
    looks, look = [], finished._look_at_dataset
    monkeypatch.setattr(finished, "_look_at_dataset", lambda config: (looks.append(1), look(config))[1])
    assert len(plan_runs(paths, work_dirs=tmp_path)[1]) == len(paths)
    assert len(looks) == 1


def test_a_finished_run_of_other_settings_is_not_overwritten_unasked(tmp_path):
    write_finished(tmp_path / POCKET.stem, POCKET, settings=settings_of(load_config(POCKET)))
    with pytest.raises(ValueError, match=r"is not this one: model\.precision was absent and is \"bf16\"\. Choose"):
        plan_runs([POCKET], ["model.precision=bf16"], tmp_path)
    runs, _ = plan_runs([POCKET], ["model.precision=bf16"], tmp_path, restart_changed=True)
    assert len(runs) == 1


def test_results_of_other_code_are_not_finished(tmp_path):
    write_finished(tmp_path / POCKET.stem, POCKET, code_hash="other")
    assert len(plan_runs([POCKET], work_dirs=tmp_path)[0]) == 1


def test_folders_are_those_of_the_test_tool():
    (run,), _ = plan_runs([VOC], ["protocol=unified"])
    assert run.folder == Path("work_dirs/sclip_vit-b16_voc21_unified")


def test_two_configs_for_one_folder_are_refused(tmp_path):
    with pytest.raises(ValueError, match="would both write to"):
        plan_runs([POCKET, POCKET])
    with pytest.raises(ValueError, match="would both write to same"):
        plan_runs([POCKET, VOC], ["work_dir=same"])


def test_a_config_without_a_dataset_is_refused(tmp_path):
    demo = tmp_path / "demo.py"
    demo.write_text(
        f"_base_ = {str(CONFIGS / '_base_/methods/clip.py')!r}\n"
        "short_side = 64\n"
        "model = dict(decode_head=dict(vocabulary='voc21'))\n"
    )
    with pytest.raises(ValueError, match="has no 'dataset'"):
        plan_runs([demo])


def test_an_unknown_config_is_refused():
    with pytest.raises(FileNotFoundError, match="Did you mean"):
        plan_runs([VOC.with_name("sclip_vit-b16_voc2.py")])
    with pytest.raises(FileNotFoundError, match="is a folder: name its files"):
        plan_runs([VOC.parent])


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("model.nonsense=1", r"sclip_vit-b16_voc21\.py: model\.nonsense: unknown option"),
        ("model.decode_head.vocabulary=nosuch", "nosuch"),
        ("test_cfg.save=1", r"test_cfg\.save"),
    ],
)
def test_what_no_task_could_do_is_refused_before_any_is_queued(pair, message):
    with pytest.raises(ValueError, match=message):
        plan_runs([VOC], [pair])
