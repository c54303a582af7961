"""One config's error is told when the others have had their turn."""

import pytest
import torch

from mmseg_tfovss.config import load_config
from mmseg_tfovss.profiling.failures import Failures, check_files


def test_files_that_configs_name_are_looked_for_first(tmp_path):
    there = load_config("sclip_vit-pocket_pocket_all")
    check_files([there])
    absent = load_config("sclip_vit-b16_voc21", {"model.backbone.pretrained": f"{tmp_path}/no.pt"})
    told = rf"^sclip_vit-b16_voc21: model\.backbone\.pretrained={tmp_path}/no\.pt does not exist"
    with pytest.raises(FileNotFoundError, match=told):
        check_files([there, absent])


def test_nothing_is_raised_without_a_failure():
    failures = Failures(2)
    with failures.noted("a"):
        pass
    failures.tell()


def test_the_only_config_s_error_stays_as_it_is():
    failures, error = Failures(1), FileNotFoundError("There are no weights.")
    with failures.noted("a"):
        raise error
    with pytest.raises(FileNotFoundError) as told:
        failures.tell()
    assert told.value is error


def test_errors_of_several_configs_are_named():
    failures = Failures(3)
    for name, error in (("a", ValueError("No\nsuch.")), ("b", torch.OutOfMemoryError("CUDA"))):
        with failures.noted(name):
            raise error
    with pytest.raises(ValueError, match=r"^2 of 3 configs could not be measured\. a: No such\. b: Memory is full\.$"):
        failures.tell()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a bug")])
def test_others_pass(error):
    with pytest.raises(type(error)), Failures(2).noted("a"):
        raise error
