"""Registries: everything is found under its name, and every method has a class and a test."""

import inspect
import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from mmengine.registry import DefaultScope
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS as MMSEG_MODELS

import mmseg_tfovss.methods
from mmseg_tfovss import registry

# What several methods are made of.
README = (Path(__file__).parents[1] / "README.md").read_text()
SHARED = {"around", "authoring", "base", "dual_path", "life_cycle", "options", "presence", "region_voting", "stages"}
SHARED |= {"refocusing"}  # a block of RF-CLIP's
METHOD_FILES = sorted(
    module.name for module in iter_modules(mmseg_tfovss.methods.__path__) if module.name not in SHARED
)


def test_every_method_has_a_row_in_the_readme():
    assert set(METHOD_FILES) == set(
        re.findall(r"^\| \[[^]]+\]\(mmseg_tfovss/methods/(\w+)\.py\)", README, re.MULTILINE)
    )


def test_there_are_methods():
    assert {"clearclip", "clip", "maskclip", "naclip", "sclip"} <= set(METHOD_FILES)


@pytest.mark.parametrize("name", METHOD_FILES)
def test_method_file_registers_its_segmentor(name):
    """Or a second one that is the first with a step more, called after it: LPOSS and LPOSS+."""
    module = import_module(f"mmseg_tfovss.methods.{name}")
    kinds = [
        kind
        for kind in set(registry.MODELS.module_dict.values())
        if inspect.isclass(kind) and kind.__module__ == module.__name__ and issubclass(kind, EncoderDecoder)
    ]
    assert kinds
    shortest = min((kind.__name__ for kind in kinds), key=len)
    assert all(kind.__name__.startswith(shortest) for kind in kinds)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\]\(mmseg_tfovss/methods/(\w+)\.py\)", README))))
def test_methods_of_the_readme_have_a_file_and_a_test(name):
    assert name in METHOD_FILES
    assert (Path(__file__).parent / "methods" / f"test_{name}.py").is_file()


@pytest.mark.parametrize("name", METHOD_FILES)
def test_method_file_cites_paper_and_code(name):
    text = import_module(f"mmseg_tfovss.methods.{name}").__doc__
    assert "arXiv:" in text
    assert "Official code: " in text
    assert "Deviations" in text


@pytest.mark.parametrize("name", ["SCLIP", "CLIPImageEncoder", "TextHead", "CLIPPreprocessor"])
def test_models_are_found_from_mmseg_with_the_scope(name):
    assert MMSEG_MODELS.get(f"mmseg_tfovss.{name}") is registry.MODELS.get(name)


def test_mmseg_is_found_from_here():
    assert registry.MODELS.get("EncoderDecoder") is EncoderDecoder


def test_children_share_the_scope():
    for child in (registry.MODELS, registry.DATASETS, registry.TRANSFORMS, registry.METRICS, registry.HOOKS):
        assert child.scope == "mmseg_tfovss"
        assert child.parent.scope == "mmseg"


def test_building_a_method_leaves_the_default_scope(build_method):
    with DefaultScope.overwrite_default_scope("mmseg"):
        assert isinstance(build_method("mmseg_tfovss.CLIP"), EncoderDecoder)
        assert DefaultScope.get_current_instance().scope_name == "mmseg"
