"""A repository in the form of the official ones is found, run in modules of its own, and leaves nothing behind."""

import sys

import pytest
import torch
from mmseg.registry import MODELS as OFFICIAL

from mmseg_tfovss.profiling.official.checkout import Checkout

# A segmentor in the form of the field's, which registers a name that one of ours has, and asks for a GPU and float16.
SEGMENTOR = """
import torch
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import MODELS
from mmengine.structures import PixelData
import clip
from pkg_resources import packaging

@MODELS.register_module()
class NACLIP(BaseSegmentor):
    def __init__(self, clip_path, name_path, device=torch.device("cuda"), shift=0):
        super().__init__(data_preprocessor=dict(type="SegDataPreProcessor"))
        self.net = clip.load(clip_path).half().cuda().to("cuda")
        self.words, self.shift = open(name_path).read().split(), shift

    def predict(self, inputs, data_samples):
        assert self.net.weight.dtype == torch.float32 and inputs.half().dtype == torch.float32
        labels = (inputs[0].sum(dim=0, keepdim=True) > 300).long() + self.shift
        data_samples[0].set_data({"pred_sem_seg": PixelData(data=labels.to(torch.float16).to("cuda").long())})
        return data_samples

    def _forward(self): ...
    def encode_decode(self): ...
    def extract_feat(self): ...
    def loss(self): ...
"""
CLIP = "import torch\nMARK = 'official'\ndef load(path):\n    return torch.nn.Linear(2, 2)\n"


@pytest.fixture
def repository(tmp_path):
    root = tmp_path / "theirs"
    (root / "configs").mkdir(parents=True)
    (root / "clip").mkdir()
    (root / "clip/__init__.py").write_text(CLIP)
    (root / "naclip.py").write_text(SEGMENTOR)
    settings = "model = dict(type='NACLIP', clip_path='ViT-B/16', name_path='./cls.txt', shift=1)\n"
    (root / "configs/cfg_voc20.py").write_text(settings)
    (root / "configs/cfg_city_scapes.py").write_text(settings)
    return root


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("one two")
    return path


def test_it_is_built_of_its_own_modules_and_leaves_none(repository, words):
    checkout, here = Checkout(repository), OFFICIAL.get("NACLIP")
    before = set(sys.modules)
    to, half = torch.Tensor.to, torch.Tensor.half
    model = checkout.build(checkout.settings("voc20"), words, words, torch.device("cpu"))
    assert type(model).__module__ == "naclip"
    assert (model.words, model.shift) == (["one", "two"], 1)
    assert OFFICIAL.get("NACLIP") is here
    assert not {"clip", "naclip"} & (set(sys.modules) - before)
    assert (torch.Tensor.to, torch.Tensor.half) == (to, half)
    assert str(repository) not in sys.path
    with checkout.modules():
        assert sys.modules["clip"].MARK == "official"


def test_settings_and_options_are_read(repository):
    checkout = Checkout(repository)
    assert checkout.settings("cityscapes")["shift"] == 1
    assert checkout.options() == {"clip_path", "name_path", "device", "shift"}
    assert checkout.title == "theirs @ unknown commit"
    with pytest.raises(ValueError, match=r"theirs has no settings for 'voc21'\. It has: city_scapes, voc20\."):
        checkout.settings("voc21")


def test_what_is_no_official_repository_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--against .*nowhere: no such folder"):
        Checkout(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no file at its top registers a segmentor"):
        Checkout(tmp_path)


def test_a_missing_package_is_named(repository, words):
    (repository / "naclip.py").write_text("import no_such_package\n" + SEGMENTOR)
    checkout = Checkout(repository)
    with pytest.raises(ValueError, match=r"theirs needs the package no_such_package: pip install no_such_package"):
        checkout.build(checkout.settings("voc20"), words, words, torch.device("cpu"))
