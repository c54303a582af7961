"""What MMSegmentation's tooling reads is what configs and published numbers say."""

from functools import cache
from pathlib import Path

import pytest
import yaml

import mmseg_tfovss.methods  # noqa: F401
from mmseg_tfovss.leaderboard.model_index import INDEX, METAFILE, index_text, metafile_text, write_index
from mmseg_tfovss.leaderboard.published import published_numbers

ROOT = Path(__file__).parents[2]
# A new method is in the index from the next `make model-index` on: until then nothing is wrong.
FOLDERS = sorted(path.parent for path in (ROOT / "configs").glob(f"*/{METAFILE}"))


def models(folder):
    return content(folder)["Models"]


@cache
def content(folder):
    return yaml.load((folder / METAFILE).read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_nothing_has_changed_since_it_was_made(folder):
    assert (folder / METAFILE).read_text() == metafile_text(folder), "run: make model-index"


def test_one_is_as_it_would_be_made():
    folder = ROOT / "configs/cliptrase_sam"
    assert (folder / METAFILE).read_text() == metafile_text(folder), "run: make model-index"


def test_the_index_names_every_metafile():
    assert len(FOLDERS) >= 20
    for folder in FOLDERS:
        assert all((ROOT / collection["README"]).is_file() for collection in content(folder)["Collections"])
    assert (ROOT / INDEX).read_text() == index_text(FOLDERS), "run: make model-index"


def test_every_entry_is_of_a_config_and_every_score_is_printed_with_its_source():
    printed = {(source.source, *source.scores.values()) for source in published_numbers(["voc21", "voc20", "ade20k"])}
    scored = 0
    for folder in FOLDERS:
        for model in models(folder):
            assert (ROOT / model["Config"]).stem == model["Name"]
            assert (ROOT / model["Config"]).is_file(), "run: make model-index"
            assert model["Weights"].startswith("https://")
            if "Results" in model and model["Name"].endswith(("_voc21", "_voc20", "_ade20k")):
                scored += 1
                source = model["Metadata"]["Source of Results"]
                shown = list(model["Results"]["Metrics"].values())
                assert any(source.startswith(row[0]) and list(map(float, row[1:])) == shown for row in printed), model
    assert scored > 50


def test_known_scores_are_there():
    found = {model["Name"]: model for folder in FOLDERS for model in models(folder)}
    assert found["resclip_vit-b16_voc21"]["Results"]["Metrics"] == {"mIoU": 61.1}
    assert found["proxyclip_vit-b16_voc21"]["Metadata"]["Architecture"] == ["ViT-B-16/openai", "facebook/dino-vitb8"]
    assert "Results" not in found["sclip_vit-b16_ade847"]


def test_it_is_written_whole(tmp_path, monkeypatch):
    (tmp_path / "configs/sclip").mkdir(parents=True)
    (tmp_path / "configs/unknown").mkdir()
    monkeypatch.setattr("mmseg_tfovss.leaderboard.model_index.config_folder", lambda: tmp_path / "configs")
    written = write_index()
    assert [path.relative_to(tmp_path).as_posix() for path in written] == ["configs/sclip/metafile.yml", INDEX]
    assert yaml.safe_load(written[0].read_text())["Models"] == []
