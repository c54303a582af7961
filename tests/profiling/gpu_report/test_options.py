"""Options that would not act are refused, in one sentence."""

import pytest

from mmseg_tfovss.commands import benchmark


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--gpu-report", "out", "--minutes", "0"), "--minutes must be above 0, but got 0.0."),
        (("--gpu-report", "out", "--minutes", "nan"), "--minutes must be above 0, but got nan."),
        (
            ("--gpu-report", "out", "--report-network", "vit"),
            "--report-network must be one of ViT-B-16, pocket, but got vit.",
        ),
        (("--gpu-report", "file"), "--gpu-report file is a file: name a folder."),
        (
            ("--gpu-report", "out"),
            "--gpu-report: PyTorch sees no GPU here. To try the report on the CPU, add --device cpu --report-network"
            " pocket.",
        ),
        (("--gpu-report", "out", "--device", "cpu", "--image", "none.jpg"), "The image none.jpg does not exist."),
    ],
)
def test_mistakes(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as end:
        benchmark.main(arguments)
    assert end.value.code == 1
    assert capsys.readouterr().err == f"error: {message}\n"
    assert {path.name for path in tmp_path.iterdir()} == {"file"}


def test_a_device_that_is_not_there(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        benchmark.main(["--gpu-report", str(tmp_path / "out"), "--device", "cuda:99"])
    assert capsys.readouterr().err.startswith("error: The device 'cuda:99' is not available here (")
    assert not (tmp_path / "out").exists()
