"""Small archives in the structure of the official ones: real member names and label ids, tiny images."""

import io
import json
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import scipy.io
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image
from pycocotools import mask as coco_mask

from mmseg_tfovss.prepare import jobs
from mmseg_tfovss.registry import DATASETS

CONFIGS = Path(__file__).parents[2] / "configs/_base_/datasets"
STEMS_2012 = ("2007_000033", "2007_000042")
STEMS_2010 = ("2008_000002", "2008_000003")
# Both are among the images of COCO-27.
COCO_IDS = ("000000000139", "000000000724")
CITIES = ("frankfurt/frankfurt_000000_000294", "munster/munster_000000_000019")
ADE_STEMS = ("ADE_val_00000001", "ADE_val_00000002")
SIZE = (6, 9)  # height, width


def image_file(kind="JPEG", size=SIZE, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return _encode(Image.fromarray(pixels), kind)


def label_file(values, size=SIZE, palette=False):
    """A label map that holds the given values, row after row."""
    labels = np.resize(np.array(values, np.uint8), size)
    image = Image.fromarray(labels, mode="P" if palette else "L")
    if palette:
        image.putpalette([channel for label in range(256) for channel in (label, 0, 0)])
    return _encode(image, "PNG")


def turned(values, steps):
    """The values in another order for each image, so that no two images have the same labels."""
    return [*values[steps:], *values[:steps]]


def _encode(image, kind):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def write_tar(path, members, mode="w"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_zip(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def alter(path, change):
    """Rewrite an archive after a function has changed its members (name -> content)."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        write, mode = write_zip, ()
    else:
        with tarfile.open(path) as archive:
            members = {info.name: archive.extractfile(info).read() for info in archive}
        write, mode = write_tar, ("w:gz",) if path.suffix == ".gz" else ("w",)
    change(members)
    return write(path, members, *mode)


def voc2012_members(labels=(0, 1, 20, 255)):
    base = "VOCdevkit/VOC2012"
    images = ("2007_000032", *STEMS_2012)
    return {
        f"{base}/ImageSets/Segmentation/train.txt": b"2007_000032\n",
        f"{base}/ImageSets/Segmentation/val.txt": "".join(f"{stem}\n" for stem in STEMS_2012).encode(),
        **{f"{base}/JPEGImages/{stem}.jpg": image_file(seed=seed) for seed, stem in enumerate(images)},
        **{
            f"{base}/SegmentationClass/{stem}.png": label_file(turned(labels, i), palette=True)
            for i, stem in enumerate(STEMS_2012)
        },
        f"{base}/SegmentationClass/2007_000032.png": label_file([1], palette=True),
        **{f"{base}/SegmentationObject/{stem}.png": label_file([1], palette=True) for stem in images},
        f"{base}/Annotations/2007_000032.xml": b"<annotation/>",
    }


def voc2010_members():
    stems = ("2008_000001", *STEMS_2010)
    return {f"VOCdevkit/VOC2010/JPEGImages/{stem}.jpg": image_file(seed=seed) for seed, stem in enumerate(stems)}


def context_record(masks):
    """trainval_merged.json of images whose segments are (raw id, mask) in order; the last image is of train.

    The masks move to the right by one column from image to image.
    """
    images, segments = [], []
    phases = {STEMS_2010[0]: "val", STEMS_2010[1]: "val", "2008_000001": "train"}
    for step, (stem, phase) in enumerate(phases.items()):
        number = int(stem.replace("_", ""))
        images.append(
            {"image_id": number, "file_name": f"{stem}.jpg", "height": SIZE[0], "width": SIZE[1], "phase": phase}
        )
        for raw_id, mask in masks:
            run_lengths = coco_mask.encode(np.asfortranarray(np.roll(mask, step, axis=1).astype(np.uint8)))
            segments.append(
                {
                    "id": len(segments),
                    "image_id": number,
                    "category_id": raw_id,
                    "segmentation": {"size": list(run_lengths["size"]), "counts": run_lengths["counts"].decode()},
                    "iscrowd": 0,
                    "parts": [],
                }
            )
    return {"images": images, "annos_segmentation": segments, "categories": [], "parts": []}


def context_masks():
    """Aeroplane on the left half, then tree (420), covering its top row; the rest stays empty."""
    left, top = np.zeros(SIZE, bool), np.zeros(SIZE, bool)
    left[:, :4] = True
    top[0] = True
    return [(2, left), (420, top)]


def label_map_file(values):
    file = io.BytesIO()
    scipy.io.savemat(file, {"LabelMap": np.resize(np.array(values, np.uint16), SIZE)})
    return file.getvalue()


def crashing_label_map():
    """A file whose data have a type that does not exist; a signal ends scipy's reader, at least that of SciPy 1.17."""
    content = bytearray(label_map_file([0, 1]))
    content[185] = 255
    return bytes(content)


def ade_code_file(ids, size=SIZE):
    """The full ADE20K's colour code of class ids."""
    ids = np.resize(np.array(ids), size)
    return _encode(Image.fromarray(np.stack([ids // 256 * 10, ids % 256, ids * 0 + 7], -1).astype(np.uint8)), "PNG")


def make_archives(folder):
    """All official archives, tiny."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _archives().items():
        (folder / name).write_bytes(content)
    return folder


@cache
def _archives():
    """The archives' names and contents: to write them takes longer than most tests that read them."""
    with tempfile.TemporaryDirectory() as folder:
        _write_archives(Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _write_archives(folder):
    write_tar(folder / "VOCtrainval_11-May-2012.tar", voc2012_members())
    write_tar(folder / "VOCtrainval_03-May-2010.tar", voc2010_members())
    (folder / "trainval_merged.json").write_text(json.dumps(context_record(context_masks())))
    ids = [0, 1, 256, 257, 459]
    maps = {f"trainval/{stem}.mat": label_map_file(turned(ids, i)) for i, stem in enumerate(STEMS_2010)}
    maps |= {"trainval/2008_000001.mat": label_map_file([1]), "labels.txt": b"1: accordion\n"}
    write_tar(folder / "trainval.tar.gz", maps, "w:gz")
    write_zip(
        folder / "val2017.zip", {f"val2017/{number}.jpg": image_file(seed=i) for i, number in enumerate(COCO_IDS)}
    )
    ids = [0, 12, 89, 91, 181, 255]
    coco = {f"val2017/{number}.png": label_file(turned(ids, i)) for i, number in enumerate(COCO_IDS)}
    coco["train2017/000000000009.png"] = label_file([0])
    write_zip(folder / "stuffthingmaps_trainval2017.zip", coco)
    images = {f"leftImg8bit/val/{stem}_leftImg8bit.png": image_file("PNG", seed=i) for i, stem in enumerate(CITIES)}
    images["leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png"] = image_file("PNG")
    write_zip(folder / "leftImg8bit_trainvaltest.zip", images)
    fine = {"README": b"Cityscapes", "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png": label_file([7])}
    for i, stem in enumerate(CITIES):
        fine[f"gtFine/val/{stem}_gtFine_color.png"] = image_file("PNG")
        fine[f"gtFine/val/{stem}_gtFine_instanceIds.png"] = label_file([99])
        fine[f"gtFine/val/{stem}_gtFine_labelIds.png"] = label_file(turned([0, 7, 33, 18, 29], i))
        fine[f"gtFine/val/{stem}_gtFine_polygons.json"] = b"{}"
    write_zip(folder / "gtFine_trainvaltest.zip", fine)
    base = "ADEChallengeData2016"
    ade = {f"{base}/objectInfo150.txt": b"Idx\n", f"{base}/images/training/ADE_train_00000001.jpg": image_file()}
    ade |= {f"{base}/annotations/training/ADE_train_00000001.png": label_file([1])}
    for i, stem in enumerate(ADE_STEMS):
        ade[f"{base}/images/validation/{stem}.jpg"] = image_file(seed=i)
        ade[f"{base}/annotations/validation/{stem}.png"] = label_file(turned([0, 1, 150], i))
    write_zip(folder / "ADEChallengeData2016.zip", ade)
    base = "ADE20K_2021_17_01/images/ADE/validation/urban/street"
    full = {"ADE20K_2021_17_01/index_ade20k.pkl": b"pickle"}
    for i, stem in enumerate(ADE_STEMS):
        full[f"{base}/{stem}.jpg"] = image_file(seed=i)
        full[f"{base}/{stem}.json"] = b"{}"
        full[f"{base}/{stem}_seg.png"] = ade_code_file(turned([0, 2978, 312, 1, 1857], i))
        full[f"{base}/{stem}_parts_1.png"] = ade_code_file([1])
        full[f"{base}/{stem}/instance_000_{stem}.png"] = label_file([255])
    base = "ADE20K_2021_17_01/images/ADE/training/urban/street"
    full |= {f"{base}/ADE_train_00000001.jpg": image_file(), f"{base}/ADE_train_00000001_seg.png": ade_code_file([1])}
    write_zip(folder / "ADE20K_2021_17_01.zip", full)


def convert_in_this_process(monkeypatch):
    """With one worker, begin no process for conversions: hundreds of them would take half a minute."""

    def write_alone(pool, many):
        for job in many:
            try:
                jobs._write(job)
                yield job, None
            except jobs.UnreadableError as error:
                yield job, error

    monkeypatch.setattr(jobs, "_write_alone", write_alone)


@cache
def config_settings(key):
    """What a benchmark's config says of its dataset."""
    return Config.fromfile(CONFIGS / f"{key}.py").test_dataloader.dataset


def config_dataset(key, data_root, **changes):
    """The dataset of a benchmark's config, with its files elsewhere."""
    with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
        return DATASETS.build({**config_settings(key), "data_root": str(data_root), **changes})


def empty_dataset(key, data_root):
    """The same before any file is read; its folders and its list are made, which MMSeg asks for."""
    settings = config_settings(key)
    for folder in settings.get("data_prefix", {}).values():
        (data_root / folder).mkdir(parents=True)
    if "ann_file" in settings:
        (data_root / settings.ann_file).parent.mkdir(parents=True, exist_ok=True)
        (data_root / settings.ann_file).touch()
    return config_dataset(key, data_root, lazy_init=True)
