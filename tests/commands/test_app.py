"""tfovss app: options, and what is refused before a page is there. No test here needs Gradio."""

import sys

import pytest

from mmseg_tfovss.commands import app


def refused(capsys, *words):
    with pytest.raises(SystemExit) as end:
        app.main(words, "tfovss app")
    return end.value.code, capsys.readouterr().err


def test_defaults_are_safe_and_need_no_download():
    arguments = app.parse_arguments([])
    assert (arguments.pretrained, arguments.host, arguments.port) == ("pocket", "127.0.0.1", 7860)


def test_without_gradio_one_sentence_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)  # as if it were not installed
    code, err = refused(capsys)
    assert code == 1
    assert err == "error: tfovss app needs Gradio, which is not installed here: pip install 'mmseg_tfovss[app]'\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "0"], "--port must be between 1 and 65535, but got 0"),
        (["--port", "70000"], "--port must be between 1 and 65535, but got 70000"),
        *(
            (["--device", name], f"--device must be cpu or cuda (cuda:1 for the second GPU), but got {name!r}")
            for name in ("foo", "cpu:9", "cuda:", "mps")
        ),
        (["--max-side", "8"], "--max-side must be at least 32 pixels, but got 8"),
    ],
)
def test_values_out_of_range_are_refused(words, message, capsys):
    code, err = refused(capsys, *words)
    assert (code, err.splitlines()[-1]) == (2, f"tfovss app: error: {message}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "corrclip"], "The method corrclip has no settings for the pocket CLIP"),
        (["--methods", "slcip"], "'slcip' is neither a method nor a config."),
        (["--pretrained", "none.pt"], "Weights file none.pt not found: set --pretrained to an existing .pt or"),
        (["--pretrained", "opnai"], "--pretrained='opnai' is neither an existing file nor an open_clip tag"),
        (["--pretrained", "openai", "--backbone", "ViT-X"], "--backbone='ViT-X' is not an open_clip architecture."),
        (["--backbone", "ViT-L-14"], "backbone='ViT-L-14' does not fit pretrained='pocket': leave it out."),
        (["--device", "cuda:99"], "--device cuda:99: PyTorch sees "),
    ],
)
def test_what_cannot_be_loaded_is_told_before_the_page_opens(words, message, capsys, monkeypatch):
    monkeypatch.setattr(app, "check_gradio", lambda: None)
    monkeypatch.setattr("mmseg_tfovss.playground.server.check_address", lambda host, port: None)
    monkeypatch.setattr("mmseg_tfovss.playground.server.serve", lambda *_: pytest.fail("the page was opened"))
    code, err = refused(capsys, *words)
    assert code == 1
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_a_missing_gpu_is_told_before_anything_is_loaded(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    for device in (None, "cpu", "cuda", "cuda:0"):
        app.check_device(device)
    with pytest.raises(ValueError, match=r"^--device cuda:1: PyTorch sees 1 GPU here: take cpu\.$"):
        app.check_device("cuda:1")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(ValueError, match=r"^--device cuda: PyTorch sees no GPU here: take cpu\.$"):
        app.check_device("cuda")


def test_its_methods_are_loaded_as_load_loads_them(monkeypatch):
    arguments = app.parse_arguments(["--device", "cpu", "--max-side", "640"])
    playground = app.new_playground(arguments, ["sclip"])
    assert (playground.offered, playground.longest, playground.is_pocket) == (["sclip"], 640, True)
    with playground.segmenters.use("sclip") as segment:
        assert repr(segment) == "<SCLIP on ViT-128x12-8/pocket, unified protocol>"
    assert not app.new_playground(app.parse_arguments(["--pretrained", "openai"]), ["sclip"]).is_pocket
