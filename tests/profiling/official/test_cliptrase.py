"""CLIPtrase's functions get one image and our words, and give labels numbered as ours."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmseg_tfovss.config import load_config
from mmseg_tfovss.profiling.official.cliptrase import CLIPtraseCheckout
from tests.profiling.official.conftest import CPU

# In the form of the authors': a loop over a folder, whose labels go to a metric. Label: the nearest word's number.
FUNCTIONS = """
import numpy as np, torch
from einops import rearrange
from PIL import Image
from tqdm import tqdm
import clip_utils
device = "cuda"
dataset_info, scores, get_image_name_list, get_text_features = {}, None, None, None

def self_clip(clip, dataset, image_size, eps, min):
    info = dataset_info[dataset]
    words = get_text_features(clip, info["labels"])
    if dataset == "VOC21":
        words = torch.cat([words, get_text_features(clip, info["background"])])
    found = []
    for name in tqdm(get_image_name_list(dataset, info["image_path"])):
        picture = Image.open(info["image_path"] + "/" + name).convert("RGB").resize((image_size, image_size))
        assert np.array(Image.open(info["gt_path"] + "/" + name)).max() == 0
        values = torch.tensor(np.array(picture)).to(device).float() / 255
        labels = (values @ words.T).argmax(-1)
        labels[labels >= len(info["labels"])] = len(info["labels"])
        found.append(labels.numpy())
    print("results:", scores([], found, 3))
"""
LOAD = "import torch\ndef load(name, image_size=224, device='cpu'):\n    return torch.nn.Linear(1, 1), None\n"


@pytest.fixture
def checkout(tmp_path):
    (tmp_path / "clip_self_correlation.py").write_text(FUNCTIONS)
    (tmp_path / "clip_utils").mkdir()
    (tmp_path / "clip_utils/__init__.py").write_text(LOAD)
    assert CLIPtraseCheckout.is_one(tmp_path)
    return CLIPtraseCheckout(tmp_path)


def our_side(classes, background):
    """Words are red, green and blue."""
    vocabulary = SimpleNamespace(background=background)
    head = SimpleNamespace(query_class=torch.tensor(classes), text_features=torch.eye(3), vocabulary=vocabulary)
    return SimpleNamespace(decode_head=head)


@pytest.mark.parametrize(
    ("dataset", "classes", "background", "expected"),
    [
        ("VOC20", [0, 1, 2], None, [0, 1, 2]),
        ("VOC21", [0, 1, 2], True, [0, 1, 2]),
        ("VOC21", [0, 0, 1], True, [0, 0, 1]),
    ],
)
def test_labels_are_numbered_as_ours(checkout, shared, capsys, dataset, classes, background, expected):
    checkout._settings = {"dataset": dataset, "image_size": 3, "eps": 0.7, "min": 3}
    label = checkout.labels(shared, our_side(classes, background), CPU)
    image = np.zeros((3, 3, 3), np.uint8)
    for column in range(3):
        image[:, column, 2 - column] = 255  # BGR: columns of red, green, blue
    for _ in range(2):
        assert label(image)[0].tolist() == expected
    assert capsys.readouterr().out == ""


def test_settings_are_those_of_the_config(checkout):
    found = checkout.settings(load_config("cliptrase_vit-b16-224_voc20"))
    assert found == {"dataset": "VOC20", "image_size": 224, "eps": 0.7, "min": 3}


def test_what_it_cannot_run_is_named(checkout):
    with pytest.raises(ValueError, match=r"CLIPtrase has no settings for 'cityscapes'\. It has: voc20, voc21"):
        checkout.settings(load_config("cliptrase_vit-b16_cityscapes"))
    with pytest.raises(ValueError, match=r"change model\.eps"):
        checkout.choose(load_config("cliptrase_vit-b16_voc21"), {"eps": 0.5})
    with pytest.raises(ValueError, match="labels the centre square, which sclip_vit-b16_voc21 does not"):
        checkout.settings(load_config("sclip_vit-b16_voc21"))
