"""``tfovss reproduce`` from end to end: a stand-in of the hub on this machine, a tiny CLIP and two images."""

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmseg_tfovss.datasets import facts
from mmseg_tfovss.leaderboard.published import published_numbers
from mmseg_tfovss.reproduce import targets
from tests.downloads import hub
from tests.reproduce import stand_ins

ROOT = Path(__file__).parents[2]
CONFIG = "sclip_vit-b16_voc21"
# Images are read in this process.
HERE = ("--cfg-options", "test_dataloader.num_workers=0", "test_dataloader.persistent_workers=False")


def everything_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_dry_run_touches_neither_network_nor_disk(server, told, tmp_path):
    before = everything_in(tmp_path)
    code, out, err = told("reproduce", "sclip", "voc21", "--dry-run")
    assert (code, err) == (0, "")
    assert server.requests == []
    assert everything_in(tmp_path) == before == ["here"]
    assert "Published:  59.63 mIoU: README of wangf3014/SCLIP @ b56bd30\n" in out
    assert f"fetch  CLIP ViT-B-16/openai from {server.url}/{stand_ins.REPOSITORY}: size not known until" in out
    assert "fetch  VOCtrainval_11-May-2012.tar from" in out
    assert "terms: the photographs come from Flickr and are subject to its terms" in out
    assert "run    tfovss test " in out


def test_the_documented_plan_is_what_is_printed(told, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    hub.use(monkeypatch, "https://huggingface.co", tmp_path / "home")
    code, out, _ = told("reproduce", "sclip", "voc21", "--dry-run")
    text = (ROOT / "docs/reproduce.md").read_text(encoding="utf-8")
    assert code == 0
    assert out.replace(str(tmp_path / "home"), "/home/you/.cache/huggingface") in text


def test_nobody_to_ask_is_one_sentence(server, told, tmp_path):
    code, out, err = told("reproduce", "sclip", "voc21")
    assert (code, err) == (1, "error: There is no terminal to ask on: add --yes to fetch this without a question.\n")
    assert "licence: mit" in out  # the hub has been asked
    assert everything_in(tmp_path) == ["here"]


@pytest.mark.parametrize("answer", ["", "n", "yes"])
def test_a_terminal_is_asked_once(server, told, monkeypatch, answer):
    asked = []
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or answer)
    monkeypatch.setattr("mmseg_tfovss.commands.reproduce._test", lambda *_: 3)
    code, _, err = told("reproduce", "sclip", "voc21")
    assert len(asked) == 1
    assert (code, err) == ((3, "") if answer == "yes" else (1, "error: Nothing was fetched.\n"))
    assert told("reproduce", "sclip", "voc21")[0] == code
    assert len(asked) == (1 if answer == "yes" else 2)  # what is here is not asked for


def test_the_end_of_input_is_a_no(server, told, monkeypatch):
    def ended(question):
        raise EOFError

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", ended)
    code, out, err = told("reproduce", "sclip", "voc21")
    assert (code, out[-1], err) == (1, "\n", "error: Nothing was fetched.\n")


def test_a_number_is_repeated_from_nothing(server, told, monkeypatch, tmp_path):
    """Fetched, prepared, run, compared; then the same again with what is here, offline and against another number."""
    code, out, err = told("reproduce", "sclip", "voc21", "--yes", *HERE)
    assert code == 3, err  # two images are not the benchmark
    assert "Images: 2 here, 1449 in the benchmark." in out
    assert "Not comparable: this is not the run that the number was published for." in out
    folder = Path("work_dirs") / CONFIG
    result = json.loads((folder / "result.json").read_text())
    assert (result["num_images"], result["backbone"]) == (2, "ViT-B-16/openai")
    report = json.loads((folder / "reproduction.json").read_text())
    assert (report["published"], report["repeated"]) == (59.63, False)
    assert report["ours"] == round(result["metrics"]["mIoU"], 2)
    assert report["difference"] == pytest.approx(report["ours"] - 59.63, abs=0.006)
    assert "| 59.63 | README of wangf3014/SCLIP @ b56bd30 |" in (folder / "reproduction.md").read_text()

    # The benchmark has two images, and the paper our number: repeated, without a network.
    monkeypatch.setitem(facts.FACTS, "voc21", replace(facts.FACTS["voc21"], images=2))
    result["expected_images"] = 2
    (folder / "result.json").write_text(json.dumps(result))
    printed(monkeypatch, result["metrics"]["mIoU"] + 0.29)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    server.requests.clear()
    code, out, _ = told("reproduce", "SCLIP", "voc21", "--backbone", "ViT-B-16", "--resume", *HERE)
    assert code == 0
    assert "Everything is here: nothing has to be fetched.\n" in out
    assert "Within 0.3.\n" in out
    assert "What differs" not in out
    assert json.loads((folder / "reproduction.json").read_text())["repeated"] is True
    printed(monkeypatch, result["metrics"]["mIoU"] + 0.32)
    code, out, _ = told("reproduce", "sclip", "voc21", "--resume", *HERE)
    assert code == 3
    assert "Not within 0.3.\nWhat differs, or may differ:\n  - Precision: fp32 here" in out
    assert server.requests == []


def printed(monkeypatch, value):
    """The authors' number is this one from now on."""

    def numbers(datasets):
        return [
            replace(number, scores={"mIoU": f"{value:.2f}"}) if number.setting == "" else number
            for number in published_numbers(datasets)
        ]

    monkeypatch.setattr(targets, "published_numbers", numbers)


def test_what_was_cut_off_goes_on(server, told, monkeypatch, tmp_path):
    """First the weights do not arrive, then the archive; then both are there, once."""
    monkeypatch.setattr("mmseg_tfovss.commands.reproduce._test", lambda *_: 0)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    server.cut = 1000
    code, _, err = told("reproduce", "sclip", "voc21", "--yes")
    assert code == 1
    assert err.startswith("error: CLIP ViT-B-16/openai cannot be fetched from ")
    assert err.count("\n") == 1
    assert not list(tmp_path.rglob("*.incomplete"))
    server.cut = None
    whole, server.files[stand_ins.ARCHIVE] = server.files[stand_ins.ARCHIVE], b"another file"
    code, _, err = told("reproduce", "sclip", "voc21", "--yes")
    assert (code, err.count("\n")) == (1, 1)
    assert "is not the official VOCtrainval_11-May-2012.tar" in err
    server.files[stand_ins.ARCHIVE] = whole
    server.requests.clear()
    assert told("reproduce", "sclip", "voc21", "--yes")[0] == 0
    assert [path for command, path in server.requests if command == "GET"] == [stand_ins.ARCHIVE]
    assert told("reproduce", "sclip", "voc21", "--yes")[0] == 0


def test_without_a_network_it_says_what_to_do(server, told, monkeypatch):
    hub.use(monkeypatch, "http://127.0.0.1:9", Path("home"))
    code, _, err = told("reproduce", "sclip", "voc21", "--yes")
    assert (code, err.count("\n")) == (1, 1)
    assert "(it cannot be reached): on a machine with network access, download open_clip_model.safetensors" in err
    assert "set model.backbone.pretrained to it" in err


def test_offline_asks_no_server_at_all(server, told, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("socket.create_connection", None)  # nor is it tried
    code, out, err = told("reproduce", "sclip", "voc21", "--yes")
    assert (code, err.count("\n"), server.requests) == (1, 1, [])
    assert "absent CLIP ViT-B-16/openai: cannot be fetched from " in out
    assert "(HF_HUB_OFFLINE is set): on a machine with network access, download " in err
    assert "VOCtrainval_11-May-2012.tar: HF_HUB_OFFLINE is set; unset it, or get the file from http://127" in err
    code, dry, _ = told("reproduce", "sclip", "voc21", "--dry-run")
    assert (code, dry, server.requests) == (0, out, [])


def test_weights_and_data_of_ones_own_are_named_by_options(server, told, mini_clip, tmp_path):
    data = tmp_path / "elsewhere/VOCdevkit/VOC2012"
    data.mkdir(parents=True)
    code, out, _ = told(
        *("reproduce", "sclip", "voc21", "--dry-run", "--cfg-options"),
        f"model.backbone.pretrained={mini_clip}",
        f"test_dataloader.dataset.data_root={data}",
    )
    assert code == 0
    assert re.search(rf"here   CLIP mini.pt: [0-9.]+ MB in {mini_clip}\n", out)
    assert f"make   voc21: about 200.0 MB in {data}" in out
    assert "No weights have to be fetched: all of them are files of this machine.\n" in out


def test_a_file_that_an_option_names_must_exist(server, told):
    option = "model.backbone.pretrained=no/file"
    for mode in ("--dry-run", "--yes"):
        code, out, err = told("reproduce", "sclip", "voc21", mode, "--cfg-options", option)
        name = option.partition("=")[0]
        assert (code, out, server.requests) == (1, "", [])
        assert err == f"error: {option} does not exist: set {name} to an existing file.\n"


def test_what_is_absent_is_not_called_present(server, told):
    out = told("download", "--for", CONFIG, "--dry-run", "--cfg-options", "model.backbone.pretrained=no.pt")[1]
    assert "absent CLIP no.pt: model.backbone.pretrained=no.pt does not exist; put it there" in out
    assert "Nothing will be fetched, and not everything is here.\n" in out
    assert "No weights have to be fetched" not in out
    assert "Everything is here" not in out


def test_options_that_make_it_another_run_are_refused(server, told):
    code, out, err = told("reproduce", "sclip", "voc21", "--cfg-options", "model.decode_head.logit_scale=40")
    assert (code, out) == (1, "")
    assert err.startswith("error: --cfg-options model.decode_head.logit_scale: with it, this is not the run ")
    code, _, err = told("reproduce", "sclip", "voc21", "--cfg-options", "protocol=unified", "--dry-run")
    assert (code, err[:36]) == (1, "error: --cfg-options protocol: with ")


def test_the_device_is_chosen_before_torch_is_imported(server, told, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert told("reproduce", "sclip", "voc21", "--dry-run")[0] == 0
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert told("reproduce", "sclip", "voc21", "--dry-run", "--device", "cpu")[0] == 0
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, _, err = told("reproduce", "sclip", "voc21", "--yes", "--device", "cuda")
    assert (code, err[:44]) == (1, "error: --device cuda: no GPU is visible. Lea")


def test_what_cannot_be_fetched_is_said_first(server, told):
    code, out, err = told("reproduce", "sclip", "cityscapes", "--yes")
    assert code == 1
    assert err.startswith("error: Not everything can be fetched. leftImg8bit_trainvaltest.zip: its download needs an")
    assert "absent gtFine_trainvaltest.zip: " in out
    assert told("reproduce", "sclip", "cityscapes", "--dry-run")[0] == 0
