"""analyze.py's commands about DSLO, as a user types them (in this process: starting another takes seconds)."""

import json

import pytest
from PIL import Image

from tests.studies.hypothesis.test_study import planted  # noqa: F401 - a fixture
from tests.tools.test_analyze_cliptrase import analyze  # noqa: F401 - a fixture
from tests.tools.test_command_lines import ROOT, SCLIP

DSLO = ROOT / "configs/dslo/dslo_vit-b16_voc21.py"
PHOTO = ROOT / "tests/parity/images/china.png"
CLIP_GRAPH = "model.graph={'type': 'CLIPGraph', '_delete_': True}"


@pytest.fixture
def small(mini_clip):
    weights = (f"model.backbone.pretrained={mini_clip}", "model.backbone.arch=auto")
    return ("--cfg-options", *weights, "model.decode_head.templates=photo", "model.theta=0", CLIP_GRAPH)


def test_discrepancy(analyze, small, tmp_path):  # noqa: F811
    command = ("discrepancy", PHOTO, DSLO, "--max-classes", 2, "--short-side", 48, "--device", "cpu", *small)
    assert analyze(*command) == (0, "Written: work_dirs/analysis/china_discrepancy.png\n", "")
    with Image.open(tmp_path / "work_dirs/analysis/china_discrepancy.png") as picture:
        assert min(picture.size) > 300
    assert len(list((tmp_path / "work_dirs/analysis").iterdir())) == 1


def test_hypothesis(analyze, planted, tmp_path):  # noqa: F811
    command = ("hypothesis", tmp_path / "planted_here.py", "--max-images", 2, "--out", "there", "--device", "cpu")
    code, printed, errors = analyze(*command)
    assert code == 0, errors
    assert printed.splitlines() == [
        "logits: 100.00 mIoU",
        "logits, majority of each true region: 100.00 mIoU",
        "logits -> uniform: 100.00 mIoU",
        "logits -> uniform, classes of the image: 100.00 mIoU",
        "logits -> ground truth, classes of the image: 100.00 mIoU",
        "ground truth -> uniform: 100.00 mIoU",
        *(f"Written: there/hypothesis.{kind}" for kind in ("json", "md", "png")),
    ]
    assert errors.splitlines()[-1].startswith("planted_here: 2/2 batches")
    result = json.loads((tmp_path / "there/hypothesis.json").read_text())
    assert result["command"].startswith("python tools/analyze.py hypothesis")
    assert (result["images"], result["device"]) == (2, "cpu")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("discrepancy", "none.png", DSLO), "error: The image none.png does not exist."),
        (("discrepancy", PHOTO, SCLIP), "error: discrepancy looks into DSLO's discrepancies, but the config's"),
        (("hypothesis", SCLIP), "error: hypothesis looks into DSLO's discrepancies, but the config's"),
        (("hypothesis", DSLO, "--max-images", 0), "error: --max-images must be at least 1, but got 0."),
        (("hypothesis", DSLO, "--smoothing", 0), "error: --smoothing must lie in (0, 1], but got 0.0."),
    ],
)
def test_mistakes_are_one_sentence(analyze, command, message, tmp_path):  # noqa: F811
    code, printed, errors = analyze(*command, "--device", "cpu")
    assert (code, printed) == (1, "")
    assert errors.startswith(message)
    assert len(errors.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
