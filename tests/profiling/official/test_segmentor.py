"""Official classes are found, and known, without running their files."""

import pytest

from mmseg_tfovss.profiling.official.segmentor import find_segmentor

CLASS = """
raise ImportError
from mmseg.registry import MODELS
class Helper:
    def __init__(self, other): ...

@MODELS.register_module()
class {}:
    def __init__(self, name_path, device=torch.device("cuda"), slide_crop=224, pamr_stride=(8, 16){}): ...
"""


def test_options_come_with_their_defaults(tmp_path):
    (tmp_path / "a_broken.py").write_text("MODELS of old\ndef (")
    (tmp_path / "segmentor.py").write_text(CLASS.format("Theirs", ""))
    found = find_segmentor(tmp_path)
    assert (found.file.name, found.name) == ("segmentor.py", "Theirs")
    assert found.options == {"name_path": None, "device": None, "slide_crop": 224, "pamr_stride": (8, 16)}
    assert not found.methods


@pytest.mark.parametrize(
    ("name", "more", "methods"),
    [
        ("CLIPForSegmentation", "", {"SCLIP"}),
        ("CLIPForSegmentation", ", maskpred_root=''", {"LaVG"}),
        ("CorrCLIPSegmentation", ", dino_type='dino_vitb8'", {"CorrCLIP"}),
        ("CorrCLIPSegmentation", "", {"CorrCLIPv2"}),
        ("NACLIP", "", {"NACLIP"}),
        ("ClearCLIPSegmentation", "", {"CLIP", "MaskCLIP", "SCLIP", "ClearCLIP", "GEM"}),
    ],
)
def test_methods_behind_classes_are_known(tmp_path, name, more, methods):
    (tmp_path / "segmentor.py").write_text(CLASS.format(name, more))
    assert find_segmentor(tmp_path).methods == methods


@pytest.mark.parametrize(("line", "asks"), [("torch.hub.load('a', 'b')", True), ("# torch.hub.load('a', 'b')", False)])
def test_whether_it_asks_torch_hub_is_seen(tmp_path, line, asks):
    method = f"    def forward(self):\n        {line}\n        return None\n"
    (tmp_path / "segmentor.py").write_text(CLASS.format("Theirs", "") + method)
    assert find_segmentor(tmp_path).asks_hub is asks


def test_nothing_is_found_where_nothing_is_registered(tmp_path):
    (tmp_path / "models.py").write_text("MODELS = 1\nclass A: ...\n")
    assert find_segmentor(tmp_path) is None
