"""A repository in the form of the official ones is found, run in modules of its own, and leaves nothing behind."""

import sys

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS as OFFICIAL

from mmseg_tfovss.profiling.official.checkout import Checkout
from mmseg_tfovss.profiling.official.pairs import official_labels
from tests.profiling.official.conftest import CPU, SEGMENTOR


def test_it_is_built_of_its_own_modules_and_leaves_none(repository, shared, capsys):
    checkout, here = Checkout(repository), OFFICIAL.get("NACLIP")
    before = set(sys.modules)
    to, half = torch.Tensor.to, torch.Tensor.half
    model = checkout.build(checkout.settings("voc20"), shared, CPU)
    assert type(model).__module__ == "naclip"
    assert (model.words, model.shift) == (["one", "two"], 1)
    assert OFFICIAL.get("NACLIP") is here
    assert not {"clip", "naclip"} & (set(sys.modules) - before)
    assert not list(repository.rglob("__pycache__"))
    assert capsys.readouterr().out == ""
    assert (torch.Tensor.to, torch.Tensor.half) == (to, half)
    assert str(repository) not in sys.path
    with checkout.modules():
        assert sys.modules["clip"].MARK == "official"


def test_settings_are_read(repository):
    checkout = Checkout(repository)
    assert checkout.settings("cityscapes")["shift"] == 1
    with pytest.raises(ValueError, match=r"theirs has no settings for 'voc21'\. It has: city_scapes, voc20\."):
        checkout.settings("voc21")


def test_what_is_no_official_repository_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--against .*nowhere: no such folder"):
        Checkout(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no repository whose code the command can run"):
        Checkout(tmp_path)


def test_a_missing_package_is_named(repository, shared):
    (repository / "naclip.py").write_text("import no_such_package\n" + SEGMENTOR)
    checkout = Checkout(repository)
    with pytest.raises(ValueError, match=r"theirs needs the package no_such_package: pip install no_such_package"):
        checkout.build(checkout.settings("voc20"), shared, CPU)


def test_a_package_of_another_version_is_named(repository, shared):
    (repository / "naclip.py").write_text("from torch import no_such_function\n" + SEGMENTOR)
    checkout = Checkout(repository)
    with pytest.raises(ValueError, match=r"theirs does not run with the packages installed here: .*no_such_function"):
        checkout.build(checkout.settings("voc20"), shared, CPU)


def test_modules_of_folders_that_it_adds_to_the_path_are_its_own(repository, shared):
    (repository / "dino").mkdir()
    (repository / "dino/net_of_theirs.py").write_text("")
    add = "import sys\nsys.path.append('dino')\nimport net_of_theirs\n"
    (repository / "naclip.py").write_text(add + SEGMENTOR)
    checkout, before = Checkout(repository), list(sys.path)
    checkout.build(checkout.settings("voc20"), shared, CPU)
    assert sys.path == before
    assert "net_of_theirs" not in sys.modules
    with checkout.modules():
        assert "net_of_theirs" in sys.modules


def test_it_labels_an_image(repository, shared):
    checkout = Checkout(repository)
    model = checkout.build(checkout.settings("voc20"), shared, CPU)
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, 15:] = 255
    labels = official_labels(model, checkout, 20, CPU, shared.image)(image)
    assert labels.shape == (20, 30)
    assert (labels[0, 0], labels[0, -1]) == (1, 2)


def test_code_that_stops_is_named(repository, shared):
    (repository / "naclip.py").write_text(SEGMENTOR.replace("open(name_path)", "[][0]"))
    checkout = Checkout(repository)
    with pytest.raises(ValueError, match=r"The code of theirs stopped: IndexError: list index out of range"):
        checkout.build(checkout.settings("voc20"), shared, CPU)


def test_a_download_is_named(repository, shared):
    asks = SEGMENTOR.replace("self.net = ", "raise URLError('no network')\n        self.net = ")
    (repository / "naclip.py").write_text(f"from urllib.error import URLError\n{asks}")
    checkout = Checkout(repository)
    with pytest.raises(ValueError, match=r"The code of theirs asks for a download \(no network\)"):
        checkout.build(checkout.settings("voc20"), shared, CPU)


def test_open_clip_of_its_own_reads_our_file(repository, shared):
    own = "def create_model(*_, **__): raise AssertionError('a download')\n"
    (repository / "open_clip").mkdir()
    (repository / "open_clip/__init__.py").write_text(own)
    loads = "import torch\ndef load_openai_model(path, precision, device):\n    return torch.nn.Linear(3, 3)\n"
    (repository / "open_clip/openai.py").write_text(loads)
    calls = "self.one, self.net = create_model('ViT-B/16'), open_clip.create_model('ViT-B/16')\n        self.words"
    imports = "import open_clip\nfrom open_clip import create_model\n"
    (repository / "naclip.py").write_text(imports + SEGMENTOR.replace("self.words", calls, 1))
    checkout = Checkout(repository)
    model = checkout.build(checkout.settings("voc20"), shared, CPU)
    assert model.one.in_features == model.net.in_features == 3
