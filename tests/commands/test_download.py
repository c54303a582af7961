"""``tfovss download --for``: what a machine without network needs, from a stand-in of the hub on this machine."""

import re
import shlex
from pathlib import Path

from huggingface_hub import constants

from mmseg_tfovss.config import load_config
from mmseg_tfovss.heads import text_head
from mmseg_tfovss.registry import MODELS
from tests.downloads import hub

ROOT = Path(__file__).parents[2]
CONFIG = "sclip_vit-b16_voc21"
# Seven prompts for each word in place of eighty.
FEW = ("--cfg-options", "model.decode_head.templates=imagenet7")


def test_a_dry_run_lists_and_touches_nothing(server, told, tmp_path):
    code, out, err = told("download", "--for", CONFIG, "cass_vit-b16_voc21", "--data", "--dry-run")
    assert (code, err, server.requests) == (0, "", [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here"]
    assert not list((tmp_path / "here").iterdir())
    assert out.count("fetch  CLIP ViT-B-16/openai from") == 1
    assert "fetch  DINO facebook/dino-vitb8 from" in out
    assert "Text features of sclip_vit-b16_voc21: would be computed into" in out


def test_a_node_needs_neither_network_nor_text_tower_afterwards(server, told, monkeypatch, tmp_path):
    code, out, err = told("download", "--for", CONFIG, *FEW)
    assert (code, err) == (0, "")
    (path,) = (tmp_path / "home").rglob("*.safetensors")
    assert re.search(rf"CLIP ViT-B-16/openai: fetched, [0-9.]+ MB, checksum compared: {path}\n", out)
    assert "in 7 templates: 1 file, " in out
    assert f"in {tmp_path / 'cache'}\n" in out
    for line in (
        "export HF_HUB_OFFLINE=1",
        f"export HF_HOME={tmp_path / 'home'}",
        f"export MMSEG_TFOVSS_CACHE={tmp_path / 'cache'}",
    ):
        assert f"  {line}\n" in out
    assert "here   voc21" not in out  # nobody has asked for data

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(text_head, "encode_queries", None)  # no text is encoded
    server.requests.clear()
    config = load_config(CONFIG, {"model.decode_head.templates": "imagenet7"})
    model = MODELS.build(config.model.to_dict())
    model.prepare()
    assert model.decode_head.ready
    code, out, _ = told("download", "--for", CONFIG, *FEW)
    assert code == 0
    assert "Everything is here: nothing has to be fetched.\n" in out
    assert "CLIP ViT-B-16/openai: already here, " in out
    assert "in 7 templates: already there in " in out
    assert server.requests == []


def test_datasets_on_request(server, told, tmp_path):
    code, out, _ = told("download", "--for", CONFIG, "--data", "--archives", "downloads", *FEW)
    assert code == 0
    assert "voc21: prepared in data/VOCdevkit/VOC2012\n" in out
    assert len(list((tmp_path / "here/data/VOCdevkit/VOC2012/JPEGImages").iterdir())) == 2
    assert (tmp_path / "here/downloads/VOCtrainval_11-May-2012.tar").is_file()


def test_what_needs_local_files_alone_is_said_to(server, told):
    code, out, _ = told("download", "--for", "sclip_vit-pocket_pocket_all", "--data", *FEW)
    assert code == 0
    assert "No weights have to be fetched: all of them are files of this machine.\n" in out
    assert "here   pocket_all: its images are drawn when they are needed\n" in out
    assert "HF_HOME" not in out
    assert server.requests == []


def test_lines_for_a_shell_are_quoted(server, told, monkeypatch, tmp_path):
    hub.use(monkeypatch, server.url, tmp_path / "a b/hf")
    monkeypatch.setenv("MMSEG_TFOVSS_CACHE", str(tmp_path / "it's"))
    out = told("download", "--for", CONFIG, "--dry-run")[1]
    words = shlex.split("".join(line for line in out.splitlines(keepends=True) if "export " in line))
    assert words[1::2] == ["HF_HUB_OFFLINE=1", f"HF_HOME={tmp_path}/a b/hf", f"MMSEG_TFOVSS_CACHE={tmp_path}/it's"]
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "a b/cache"))
    assert f"  export HF_HUB_CACHE='{tmp_path}/a b/cache'\n" in told("download", "--for", CONFIG, "--dry-run")[1]
    out = told("reproduce", "sclip", "voc21", "--dry-run", "--work-dir", "a b")[1]
    assert "run    tfovss test sclip_vit-b16_voc21 --work-dir 'a b'\n" in out


def test_what_cannot_be_fetched_does_not_keep_the_rest_from_it(server, told, tmp_path):
    options = ("--cfg-options", "model.masks=masks", "model.decode_head.templates=imagenet7")
    code, out, err = told("download", "--for", "lavg_vit-b16_voc21", *options, "model.vfm=None")
    assert code == 1
    assert err.startswith("error: Not everything can be fetched. masks: model.masks=masks does not exist; put it there")
    assert "CLIP ViT-B-16/openai: fetched" in out
    assert list((tmp_path / "cache").glob("*.safetensors"))


def test_a_repository_that_is_gone_does_not_keep_the_rest_from_coming(server, told, tmp_path):
    code, out, err = told("download", "--for", "proxyclip_vit-b16_voc21", CONFIG, *FEW)
    gone = f"DINO facebook/dino-vitb8: cannot be fetched from {server.url}/facebook/dino-vitb8 (RepositoryNotFound"
    assert (code, err.count("\n")) == (1, 1)
    assert f"  absent {gone}" in out
    assert err.startswith(f"error: Not everything can be fetched. {gone}")
    assert "CLIP ViT-B-16/openai: fetched" in out
    assert out.count("in 7 templates: 1 file, ") == 2
    assert "export HF_HUB_OFFLINE=1" in out
    assert err.count("DINO facebook/dino-vitb8") == 1


def test_what_fails_on_its_way_is_told_once_and_at_the_end(server, told, monkeypatch, tmp_path):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr(server, "cut", 1000)
    code, out, err = told("download", "--for", CONFIG, "sclip_vit-pocket_pocket_all", *FEW)
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("error: CLIP ViT-B-16/openai cannot be fetched from ")
    assert f"Text features of {CONFIG}: not computed, because CLIP ViT-B-16/openai is not here\n" in out
    assert re.search(r"Text features of sclip_vit-pocket_pocket_all: \d+ words in 7 templates: 1 file, ", out)


def test_a_dataset_that_cannot_be_fetched_does_not_keep_the_others_from_coming(server, told, tmp_path):
    code, out, err = told("download", "--for", "sclip_vit-b16_cityscapes", CONFIG, "--data", *FEW)
    assert code == 1
    assert "voc21: prepared in data/VOCdevkit/VOC2012\n" in out
    assert err.count("leftImg8bit_trainvaltest.zip: its download needs an account") == 1


def test_data_of_ones_own_are_looked_for_where_the_config_says(server, told, tmp_path):
    text = f"_base_ = {str(ROOT / 'configs/sclip/sclip_vit-pocket_pocket_all.py')!r}\ndataset = 'mine'\n"
    data = "test_dataloader = dict(dataset=dict(_delete_=True, type='BaseSegDataset', data_root='photos'))\n"
    (tmp_path / "here/mine.py").write_text(text + data)
    code, out, _ = told("download", "--for", "mine.py", "--data", "--dry-run")
    assert code == 0
    assert "absent mine: test_dataloader.dataset.data_root=photos does not exist; set it to the folder" in out
    (tmp_path / "here/photos").mkdir()
    assert "here   mine: photos\n" in told("download", "--for", "mine.py", "--data", "--dry-run")[1]


def test_mistakes_are_one_sentence(server, told):
    code, _, err = told("download", "--for", "sclip_vit-b16_voc12")
    assert (code, err.count("\n")) == (1, 1)
    assert "Did you mean" in err
    assert (
        told("download", "--for", CONFIG, "--archives", "x")[2] == "error: --archives has no effect without --data.\n"
    )
    code, _, err = told("download", "--for", CONFIG, "--cfg-options", "model.backbone.pretrained=opnai")
    assert (code, err.count("\n")) == (1, 1)
    assert "is neither an existing file nor an open_clip tag of ViT-B-16. Tags: openai, " in err


def test_a_cache_that_is_a_file_is_an_error(server, told, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MMSEG_TFOVSS_CACHE", str(tmp_path / "file/cache"))
    code, _, err = told("download", "--for", "sclip_vit-pocket_pocket_thing", *FEW)
    assert code == 1
    assert err.endswith(f"written to {tmp_path / 'file/cache'}: set MMSEG_TFOVSS_CACHE to another folder.\n")
