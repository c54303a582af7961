"""Did a change of shape move a number? Compare labels and logits with those of another commit.

    python -m tests.unmoved COMMIT [--leaves 40] [--pocket]     (or: make unmoved SINCE=COMMIT)

Both trees, the commit's in a scratch worktree, label in processes of their own: every parity case but those of GEM and
CLIP Surgery, and one photograph under ``--leaves`` configs of all methods, on the tiny random CLIP of the parity cases
(Stable Diffusion: the pocket one; SAM: a tiny random one; LHT-CLIP: any ranking of heads; RF-CLIP: any channels).
Labels must be equal to the bit; of the refined logits the largest difference is told, because where a tensor lies in
memory decides how matrix products round. ``--pocket`` also runs the pocket benchmark in both, which takes minutes, and
compares the metrics to the last digit. Exit code 0 if all is equal.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from itertools import zip_longest
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
PARITY = ROOT / "tests" / "parity"
ROUNDING = 1e-5  # of cosines; DSLO's scores reach a few units
IMAGE = PARITY / "images" / "coffee.png"
# Parity cases through a leaf of their method: what no case says.
LEAF_OF = {method: f"configs/{method}/{method}_vit-b16_voc20.py" for method in ("sclip", "clearclip", "naclip")}
LEAF_OF |= {
    "clip_vanilla": "configs/clip/clip_vit-b16_voc20.py",
    "maskclip": "configs/maskclip/maskclip_vit-b16_voc20.py",
}
LEAF_OF |= {"cliptrase": "configs/cliptrase/cliptrase_vit-b16_voc20.py"}
LEAF_OF |= {
    "resclip": "configs/resclip/resclip_vit-b16_voc20.py",
    "scclip": "configs/sc_clip/sc_clip_vit-b16_voc20.py",
    "rfclip": "configs/rf_clip/rf_clip_vit-b16_voc20.py",
}
CHANNELS = [4, 34, 61, 90]  # of the tiny CLIP, for RF-CLIP


def main():
    """Compare, or (``--record``, used by the former) write down what one tree computes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commit", help="what to compare this tree with")
    parser.add_argument("--leaves", type=int, default=40, help="configs, evenly spread over the methods")
    parser.add_argument("--pocket", action="store_true", help="run the pocket benchmark too")
    parser.add_argument("--record", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.record:
        record(arguments.record, arguments.leaves)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        return compare(arguments, Path(scratch))


def compare(arguments, scratch):
    """Print what differs; 1 if anything does."""
    other = scratch / "tree"
    added = subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", other, arguments.commit])
    if added.returncode:
        sys.exit(f"error: {arguments.commit!r} is no commit of this repository: name one, as in SINCE=HEAD~1.")
    try:
        write_networks(scratch)
        found = {name: run_in(tree, name, scratch, arguments) for name, tree in (("then", other), ("now", ROOT))}
    finally:
        subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", other], check=True)
    return report(found["then"], found["now"], arguments.commit)


def report(then, now, commit):
    """Print what differs; True if anything but rounding does."""
    moved, worst, exact = [], 0.0, 0
    for name in sorted({*then, *now}):
        if name not in then or name not in now or then[name].shape != now[name].shape:
            moved.append(f"{name}: is not in both, or has another shape")
        elif not name.startswith("logits of"):
            moved += [] if np.array_equal(then[name], now[name]) else [f"{name}: differs"]
        else:
            rejected = [np.isinf(maps) for maps in (then[name], now[name])]
            difference = float(np.abs(np.where(rejected[0], 0, then[name]) - np.where(rejected[1], 0, now[name])).max())
            worst, exact = max(worst, difference), exact + (difference == 0)
            same = difference <= ROUNDING and np.array_equal(*rejected)
            moved += [] if same else [f"{name}: differ by {difference:.1e}"]
    for line in moved:
        sys.stdout.write(f"moved: {line}\n")
    logits = sum(name.startswith("logits of") for name in now)
    sys.stdout.write(
        f"{len(now) - len(moved)} of {len(now)} are as at {commit}: labels and metrics to the bit; {exact} of {logits}"
        f" logits too, the others within {worst:.1e}.\n"
    )
    return bool(moved)


def run_in(tree, name, scratch, arguments):
    """What a tree computes, by name."""
    out = scratch / f"{name}.npz"
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "MMSEG_TFOVSS_CACHE": str(scratch / f"cache_{name}"),
        "UNMOVED_NETWORKS": str(scratch),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [
        sys.executable,
        str(Path(__file__)),
        arguments.commit,
        "--record",
        out,
        "--leaves",
        str(arguments.leaves),
    ]
    subprocess.run(command, cwd=tree, env=environment, check=True)
    found = dict(np.load(out))
    return found | (run_pocket(tree, scratch / f"runs_{name}", environment) if arguments.pocket else {})


def run_pocket(tree, folder, environment):
    """Metrics of all pocket configs."""
    leaves = sorted(tree.glob("configs/*/*_vit-pocket*_pocket_*.py"))
    found = {}
    for leaf in leaves:
        command = [sys.executable, "tools/test.py", leaf.relative_to(tree), "--work-dir", folder / leaf.stem]
        subprocess.run(command, cwd=tree, env=environment, check=True, stdout=subprocess.DEVNULL)
        metrics = json.loads((folder / leaf.stem / "result.json").read_text())["metrics"]
        found[f"pocket {leaf.stem}"] = np.array([metrics[name] for name in sorted(metrics)])
    return found


def write_networks(folder):
    """Small random networks, the same for both trees."""
    import torch

    import mmseg_tfovss  # noqa: F401 - first: it makes torchvision importable
    from mmseg_tfovss.encoders.weights import load_clip
    from tests.encoders.test_sam import write_tiny_sam
    from tests.parity import gen_clip

    recipe = json.loads((PARITY / "weights.json").read_text())["clip"]
    torch.save(gen_clip.make(recipe["kind"], recipe["seed"]), folder / "clip.pt")
    write_tiny_sam(folder / "sam")
    weights_hash = load_clip("auto", str(folder / "clip.pt")).weights_hash
    heads = [[1 + place // 2, place % 2, round(0.9 - 0.01 * place, 2)] for place in range(22)]
    ranking = {"version": 1, "arch": "tiny", "blocks": 12, "heads_per_block": 2, "datasets": [], "heads": heads}
    (folder / "ranking.json").write_text(json.dumps({**ranking, "weights_hash": weights_hash}))


# -- one tree: what follows uses only what both trees have ------------------------------------------------------------


def record(out, count):
    """Write labels and some of the logits, by name."""
    import torch

    torch.set_num_threads(1)
    networks = Path(os.environ["UNMOVED_NETWORKS"])
    found = {}
    for path in sorted(PARITY.glob("*/*.json")):
        if Path(LEAF_OF.get(path.parent.name, "")).is_file():  # in this tree
            with tempfile.TemporaryDirectory() as scratch:
                leaf, options, image = parity_options(json.loads(path.read_text()), path.parent.name, Path(scratch))
                found |= outputs(path.stem, leaf, {**options, **on_tiny_clip(networks)}, image, networks)
    for leaf in spread(count):
        found |= outputs(Path(leaf).stem, leaf, on_tiny_clip(networks), IMAGE, networks)
    np.savez_compressed(out, **found)


def spread(count):
    """Paths of configs: of every folder a like share, evenly spread over its names."""
    folders = sorted(path for path in Path("configs").iterdir() if path.name != "_base_")
    leaves = [sorted(path for path in folder.rglob("*.py")) for folder in folders]
    share = -(-count // len(leaves))
    chosen = [
        [files[(2 * i + 1) * len(files) // (2 * share)] for i in range(min(share, len(files)))] for files in leaves
    ]
    rounds = [leaf for row in zip_longest(*chosen) for leaf in row if leaf is not None]
    return sorted(dict.fromkeys(map(str, rounds[:count])))


def on_tiny_clip(networks):
    """Options that put the tiny CLIP in the place of any."""
    return {"model.backbone.pretrained": str(networks / "clip.pt"), "model.backbone.arch": "auto"}


def parity_options(case, method, folder):
    """Config, options and image of a parity case, as a user would write them for tools/demo.py."""
    words = folder / "words.txt"
    if method == "cliptrase":
        background = [", ".join(case["background_words"])] if case["background"] else []
        words.write_text("\n".join(background + case["labels"]))
        options = {
            "short_side": case["image_size"],
            "model.eps": case["eps"],
            "model.min_samples": case["min_samples"],
            "model.cls_weighting": case["dataset_rule"] == "VOC20",
        }
    else:
        words.write_text("\n".join(", ".join(group) for group in case["classes"]))
        crop = case["slide_crop"]
        slide = {"mode": "slide", "crop_size": crop, "stride": case["slide_stride"]}
        options = {
            "short_side": case["S"],
            "model.test_cfg": slide if crop else {"mode": "whole"},
            "model.decode_head.logit_scale": case["logit_scale"],
            "model.decode_head.prob_threshold": case["prob_thd"],
            "model.decode_head.area_threshold": case["area_thd"],
            "model.pamr_steps": case["pamr_steps"],
            "model.pamr_dilations": case["pamr_dilations"],
            "model.pad_to": 16 if case["repo"] == "ClearCLIP" else None,
        }
    if method in ("clip_vanilla", "maskclip"):
        options["model.ignore_residual"] = case["options"].get("ignore_residual", False)
    if method == "naclip" and case["options"]["attn_strategy"] != "naclip":
        options["model.sigma"] = None
    options["model.decode_head.vocabulary"] = str(words)
    options["model.decode_head.background"] = None
    return LEAF_OF[method], options, PARITY / case["image"]


def outputs(name, leaf, options, image, networks):
    """Labels of an image, and its full-size logits on every 7th row and column."""
    from mmseg_tfovss.config import load_config
    from mmseg_tfovss.engine import single

    config = load_config(leaf, options)
    if config.model.type == "LHTCLIP":
        config.model.ranking = str(networks / "ranking.json")
    for part in (config.model, config.model.get("base") or {}):
        if part.get("type") == "RFCLIP":
            part["channels"] = CHANNELS
    if config.model.get("graph"):
        config.model.graph.pretrained = "pocket"
        config.model.graph.blocks = ["up_blocks.2", "up_blocks.3"]
    if config.model.get("sam"):
        config.model.sam.pretrained = str(networks / "sam")
    model = single.build_method(config, "cpu")
    # Before the size of images was the model's.
    resize = [single.config_resize(config)] if hasattr(single, "config_resize") else []
    found = single.segment_file(model, image, *resize, keep_logits=True)
    return {f"labels of {name}": found.pred, f"logits of {name}": found.seg_logits[:, ::7, ::7]}


if __name__ == "__main__":
    sys.exit(main())
