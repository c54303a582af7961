"""A small world in which a number can be repeated: a hub with a tiny CLIP, and VOC's archive with two images."""

import hashlib
from dataclasses import replace

import open_clip
from safetensors.torch import save

from mmseg_tfovss.prepare import recipes
from tests.downloads import hub
from tests.mini import CONFIG
from tests.prepare import official

REPOSITORY = "timm/vit_base_patch16_clip_224.openai"
STEMS = official.STEMS_2012
SIZE = (48, 48)
ARCHIVE = "/VOCtrainval_11-May-2012.tar"


def voc_members():
    base = "VOCdevkit/VOC2012"
    return {
        f"{base}/ImageSets/Segmentation/val.txt": "".join(f"{stem}\n" for stem in STEMS).encode(),
        **{f"{base}/JPEGImages/{stem}.jpg": official.image_file(size=SIZE, seed=i) for i, stem in enumerate(STEMS)},
        **{
            f"{base}/SegmentationClass/{stem}.png": official.label_file([0, i + 1, 255], SIZE, palette=True)
            for i, stem in enumerate(STEMS)
        },
    }


def tiny_hub(state, folder):
    """A server with open_clip's repository of ViT-B-16/openai, which holds a tiny CLIP here, and with VOC's archive."""
    archive = official.write_tar(folder / "voc.tar", voc_members())
    files = {"open_clip_model.safetensors": save(state), "README.md": b"a stand-in"}
    return hub.Hub({REPOSITORY: files}, {ARCHIVE: archive.read_bytes()})


def use(monkeypatch, server, home):
    """Let this process take its weights and VOC's archive from the server, in the place of the real ones."""
    hub.use(monkeypatch, server.url, home)
    replace_originals(monkeypatch, f"{server.url}{ARCHIVE}", md5(server.files[ARCHIVE]))


def md5(content):
    return hashlib.md5(content).hexdigest()


def replace_originals(monkeypatch, url, checksum):
    """Let ViT-B-16 be the tiny CLIP, and VOC's archive be the one at this address."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-16", CONFIG)
    archive = replace(recipes.VOC2012, url=url, size=None, checksum=f"md5:{checksum}")
    monkeypatch.setattr(recipes, "VOC2012", archive)
    monkeypatch.setitem(recipes.RECIPES, "voc21", replace(recipes.RECIPES["voc21"], archives=(archive,)))
