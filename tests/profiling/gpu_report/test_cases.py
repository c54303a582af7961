"""What is timed on which networks, and the aims."""

import pytest

from mmseg_tfovss.profiling.gpu_report.bench import LEAVES, METHODS
from mmseg_tfovss.profiling.gpu_report.cases import cases_of


def aims(name, row):
    [case] = [case for case in cases_of("ViT-B-16", tuple(METHODS)) if case.name == name]
    return [aim.told(row) for aim in case.aims]


def test_every_method_is_timed_on_every_network():
    for network in LEAVES:
        assert {case.method for case in cases_of(network, tuple(METHODS))} == set(METHODS)


@pytest.mark.parametrize(("rate", "end"), [(150.0, "reached"), (149.9, "not reached")])
def test_aims_of_sclip(rate, end):
    assert aims("SCLIP", {"images_per_second": rate, "after_encoder": 0.15}) == [
        f"images/s at least 150; here {rate:g}: {end}",
        "share after the encoder under 15.0%; here 15.0%: not reached",
    ]


def test_aim_of_a_whole_image_with_dslo():
    assert aims("DSLO, 512 px", {"single_ms": 59.4}) == [
        "milliseconds under 60.0 (the paper: 570 on an RTX 3090); here 59.4: reached"
    ]


def test_the_pocket_networks_have_no_aims():
    assert not [case for case in cases_of("pocket", tuple(METHODS)) if case.aims]
