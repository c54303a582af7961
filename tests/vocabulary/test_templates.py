"""Prompt templates: the field's lists, word for word."""

import hashlib

import pytest

from mmseg_tfovss.vocabulary.templates import available_templates, load_templates


@pytest.mark.parametrize(
    ("name", "count"), [("imagenet80", 80), ("imagenet7", 7), ("imagenet85", 85), ("photo", 1), ("plain", 1)]
)
def test_counts(name, count):
    templates = load_templates(name)
    assert len(set(templates)) == len(templates) == count
    assert all(template.count("{}") == 1 for template in templates)


def test_the_80_are_those_of_every_repository():
    """md5 of SCLIP's, ClearCLIP's, NACLIP's, ProxyCLIP's, CASS's and CLIPtrase's list with "X" as the name."""
    text = "\n".join(template.replace("{}", "X") for template in load_templates("imagenet80"))
    assert hashlib.md5(text.encode()).hexdigest() == "e720b0fdb6fe2e7193c63333179f9a15"


def test_the_7_are_openais_own():
    """SCLIP's unused list of seven has "a bad photo of a {}." in place of the second."""
    assert set(load_templates("imagenet7")) == {
        "itap of a {}.",
        "a bad photo of the {}.",
        "a origami {}.",
        "a photo of the large {}.",
        "a {} in a video game.",
        "art of the {}.",
        "a photo of the small {}.",
    }


def test_the_85_add_five_scenes():
    templates = load_templates("imagenet85")
    assert templates[:80] == load_templates("imagenet80")
    assert templates[80:] == (
        "there is a {} in the scene.",
        "there is the {} in the scene.",
        "this is a {} in the scene.",
        "this is the {} in the scene.",
        "this is one {} in the scene.",
    )


def test_unknown_name_offers_near_ones():
    with pytest.raises(ValueError, match=r"Unknown template set 'imagnet80'\. Did you mean imagenet80.* Valid: "):
        load_templates("imagnet80")


def test_all_names_are_offered():
    assert available_templates() == ["imagenet7", "imagenet80", "imagenet85", "photo", "plain"]
