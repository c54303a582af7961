"""A repository of another method is refused before anything slow, and so is a DINO that nobody reads."""

import pytest

from mmseg_tfovss.config import load_config
from mmseg_tfovss.profiling.official.checkout import Checkout
from mmseg_tfovss.profiling.official.code import REPOSITORIES, check_hub, check_known, check_method
from mmseg_tfovss.registry import MODELS


def test_repositories_are_of_methods_here():
    assert set(REPOSITORIES) <= set(MODELS.module_dict)


def test_the_method_must_be_the_repositorys(repository):
    code = Checkout(repository)
    check_method(code, load_config("naclip_vit-b16_voc20"))
    with pytest.raises(ValueError, match=r"theirs has the code of NACLIP, but sclip_vit-b16_voc20 is a config of S"):
        check_method(code, load_config("sclip_vit-b16_voc20"))


def test_a_method_without_a_driver_is_named():
    check_known(load_config("naclip_vit-b16_voc20"))
    with pytest.raises(ValueError, match="rf_clip_vit-b16_voc20 is a config of RFCLIP, whose official code this comm"):
        check_known(load_config("rf_clip_vit-b16_voc20"))


def test_a_class_that_is_not_known_may_be_compared(repository):
    file = repository / "naclip.py"
    file.write_text(file.read_text().replace("class NACLIP", "class MyOwn"))
    check_method(Checkout(repository), load_config("sclip_vit-b16_voc20"))


def test_a_dino_is_named_where_one_is_asked_for(repository, tmp_path):
    code = Checkout(repository)
    check_hub(code, None)
    with pytest.raises(ValueError, match="--hub: the code of theirs asks"):
        check_hub(code, tmp_path)
    code.asks_hub = True
    with pytest.raises(ValueError, match=r"takes a DINO from torch\.hub\. Clone .* by --hub"):
        check_hub(code, None)
    with pytest.raises(FileNotFoundError, match=r"no hubconf\.py"):
        check_hub(code, tmp_path)
