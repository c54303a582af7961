"""Stand-ins for official repositories."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmseg_tfovss.profiling.official.code import Shared

# A segmentor in the form of the field's, which registers a name that one of ours has, and asks for a GPU and float16.
SEGMENTOR = """
import torch
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import MODELS
from mmengine.structures import PixelData
import clip
import openpyxl
from mae import models_vit
from pkg_resources import packaging

@MODELS.register_module()
class NACLIP(BaseSegmentor):
    def __init__(self, clip_path, name_path, device=torch.device("cuda"), shift=0):
        super().__init__(data_preprocessor=dict(type="SegDataPreProcessor"))
        self.net = clip.load(clip_path).half().cuda().to("cuda")
        self.words, self.shift = open(name_path).read().split(), shift
        print('much talk')

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


CPU = torch.device("cpu")


@pytest.fixture
def shared(tmp_path):
    """Files for a made-up segmentor, which does not read what is in them."""
    return Shared(clip=tmp_path / "clip.pt", image=tmp_path / "photo.png")


def square_side(classes=(0, 1, 2), **more):
    """Our side of a library of maps: words are red, green and blue."""
    vocabulary = SimpleNamespace(queries=("red", "green", "blue"))
    head = SimpleNamespace(query_class=torch.tensor(classes), text_features=torch.eye(3), vocabulary=vocabulary)
    values = {"num_classes": max(classes) + 1, "prob_threshold": 0.0, "logit_scale": 100.0, **more}
    vars(head).update(values)
    return SimpleNamespace(decode_head=head)


@pytest.fixture
def colours():
    """An image (3, 6, 3), BGR: two columns each of red, green and blue."""
    image = np.zeros((3, 6, 3), np.uint8)
    for column in range(6):
        image[:, column, 2 - column // 2] = 255
    return image
