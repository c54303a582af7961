"""Shared fixtures: one thread, tiny random CLIPs, and methods built on them."""

import copy
import gc
import importlib.metadata
import json
import os
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config

import mmseg_tfovss.encoders
import mmseg_tfovss.heads
import mmseg_tfovss.methods  # noqa: F401
from mmseg_tfovss.encoders import clip, stable_diffusion, weights
from mmseg_tfovss.encoders import pretrained as companions
from mmseg_tfovss.pocket import scenes
from mmseg_tfovss.pocket.scenes import NUM_VALIDATION
from mmseg_tfovss.registry import MODELS
from tests.copying import copy_network
from tests.mini import new_mini_clip
from tests.parity import cases, gen_clip

CONFIGS = Path(__file__).parents[1] / "configs"
# Weights that are read again and again, and that no test writes to.
READ_ONCE = {"pocket"}
WORDS = "sky, cloud\ncat\ncup, mug, beaker\nflower\n"


@pytest.fixture(scope="session", autouse=True)
def one_thread_and_own_cache(tmp_path_factory):
    torch.set_num_threads(1)
    # Modules and collected tests stay: nobody need look through them for garbage, as MMEngine's datasets do when one
    # is made, which would be most of a small run's time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)  # a network is thousands of objects
    gc.enable()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmengine.dataset.base_dataset.gc", SimpleNamespace(collect=int))
        # A runner writes its config four times; to lay it out nicely takes half a second, which nobody looks at here.
        patch.setattr("importlib.metadata.version", cache(importlib.metadata.version))
        patch.setattr("yapf.yapflib.yapf_api.FormatCode", lambda text, **_: (text, True))
        patch.setenv("MMSEG_TFOVSS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def read_own_configs_once():
    """The repository's configs do not change while tests run, and are read thousands of times."""
    read, kept = Config.fromfile, {}
    parse, parsed = Config._file2dict, {}

    def parse_once(filename, *args, **kwargs):
        """Files of ``_base_`` are parsed for every config that names them."""
        if "_base_" not in Path(filename).parts or not Path(filename).is_relative_to(CONFIGS):
            return parse(filename, *args, **kwargs)
        key = repr((filename, args, sorted(kwargs.items())))
        if key not in parsed:
            parsed[key] = parse(filename, *args, **kwargs)
        return copy.deepcopy(parsed[key])

    def read_once(filename, *args, **kwargs):
        path = Path(filename).absolute()
        if args or kwargs or not path.is_relative_to(CONFIGS) or not path.is_file():
            return read(filename, *args, **kwargs)
        if path not in kept:
            kept[path] = read(filename)
        return copy.deepcopy(kept[path])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Config, "fromfile", read_once)
        patch.setattr(Config, "_file2dict", staticmethod(parse_once))
        yield


@pytest.fixture(scope="session", autouse=True)
def draw_scenes_once(tmp_path_factory):
    """To draw the pocket benchmark takes seconds, and half a one to read it back; many tests want a folder of it."""
    base = tmp_path_factory.getbasetemp()
    kept = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "pocket_scenes"
    write, digests, known = scenes._write_scenes, scenes.compute_digests, {}

    def copy_scenes(root):
        if scenes.NUM_VALIDATION != NUM_VALIDATION:
            write(root)
            return
        if not kept.exists():
            drawn = Path(tempfile.mkdtemp(dir=kept.parent)) / "drawn"
            write(drawn)
            with suppress(OSError):  # another worker has been faster
                drawn.rename(kept)
        shutil.copytree(kept, root, dirs_exist_ok=True)

    def digests_once(root):
        files = sorted(Path(root).rglob("*.png"))
        state = tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
        if (scenes.NUM_VALIDATION, state) not in known:
            known[scenes.NUM_VALIDATION, state] = digests(root)
        return known[scenes.NUM_VALIDATION, state]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "_write_scenes", copy_scenes)
        patch.setattr(scenes, "compute_digests", digests_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def read_shared_weights_once():
    """Most of what a method on a tiny CLIP takes to build is to read, check and hash the same file."""
    load, kept = clip.load_clip, {}

    def load_once(arch, pretrained, **options):
        if pretrained not in READ_ONCE:
            return load(arch, pretrained, **options)
        key = repr((arch, pretrained, *sorted(options.items())))  # 1 is not True
        if key not in kept:
            kept[key] = load(arch, pretrained, **options)
        tower = kept[key].text  # which nobody changes, and methods drop
        return copy_network(kept[key], shared=[*tower.modules(), *tower.parameters()])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip, "load_clip", load_once)
        patch.setattr(weights.open_clip, "get_tokenizer", cache(weights.open_clip.get_tokenizer))
        yield


@pytest.fixture(scope="session", autouse=True)
def read_shared_diffusion_once():
    """Likewise the small diffusion model of the package, or a tiny one."""
    load, kept = stable_diffusion._load, {}

    def load_once(folder, kind):
        if folder.parent != stable_diffusion.POCKET_FOLDER and str(folder.parent) not in READ_ONCE:
            return load(folder, kind)
        if (folder, kind) not in kept:
            kept[folder, kind] = load(folder, kind)
        return copy_network(kept[folder, kind])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stable_diffusion, "_load", load_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def read_shared_companions_once():
    """Likewise DINO, SAM and their kind, of the package or tiny."""
    kept, own = {}, Path(companions.__file__).parents[1]

    def once(read):
        def call(path, network, *more):
            if not path.is_relative_to(own) and str(path) not in READ_ONCE:
                return read(path, network, *more)
            key = repr((read.__name__, path, network.name, more))
            if key not in kept:
                kept[key] = read(path, network, *more)
            return copy_network(kept[key])

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("_read", "_read_file"):
            patch.setattr(companions, name, once(getattr(companions, name)))
        yield


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory):
    """The CLIP on which the official outputs of tests/parity were computed."""
    recipe = json.loads((cases.FOLDER / "weights.json").read_text())["clip"]
    state = gen_clip.make(recipe["kind"], recipe["seed"])
    assert gen_clip.sha256(state) == recipe["sha256"]
    path = tmp_path_factory.mktemp("tiny") / "clip.pt"
    torch.save(state, path)
    READ_ONCE.add(str(path))
    return path


@pytest.fixture(scope="session")
def mini_state():
    """Random weights in OpenAI's layout; every value is exact in float16."""
    reference = new_mini_clip(quick_gelu=True)
    draw = torch.Generator().manual_seed(0)
    state = {}
    for name, tensor in reference.state_dict().items():
        noise = torch.randn(tensor.shape, generator=draw)
        is_gain = ".ln_" in f".{name}" and name.endswith("weight")
        state[name] = ((1 + 0.1 * noise) if is_gain else 0.1 * noise).half().float()
    return state


@pytest.fixture(scope="session")
def mini_clip(mini_state, tmp_path_factory):
    """A file with ``mini_state``."""
    path = tmp_path_factory.mktemp("mini") / "mini.pt"
    torch.save(mini_state, path)
    READ_ONCE.add(str(path))
    return path


@pytest.fixture(scope="session", params=[True, False], ids=["QuickGELU", "GELU"])
def reference_clip(request, mini_state):
    """open_clip's own model with ``mini_state``, and whether it uses QuickGELU."""
    model = new_mini_clip(quick_gelu=request.param)
    model.load_state_dict(mini_state)
    return model.eval(), request.param


@pytest.fixture(scope="session")
def words_file(tmp_path_factory):
    """Four classes, seven queries."""
    path = tmp_path_factory.mktemp("words") / "words.txt"
    path.write_text(WORDS)
    return path


@pytest.fixture(scope="session")
def build_method(mini_clip, words_file):
    """Build a method on the mini CLIP: ``build_method("SCLIP", decode_head={...}, test_cfg={...}, ...)``."""

    def build(kind, *, backbone=None, decode_head=None, test_cfg=None, **kwargs):
        config = {
            "type": kind,
            "backbone": {"type": "CLIPImageEncoder", "arch": "auto", "pretrained": str(mini_clip), **(backbone or {})},
            "decode_head": {
                "type": "TextHead",
                "vocabulary": str(words_file),
                "templates": "imagenet7",
                **(decode_head or {}),
            },
            "test_cfg": test_cfg or {"mode": "slide", "crop_size": 32, "stride": 16},
            **kwargs,
        }
        return MODELS.build(config)

    return build
