"""The pocket benchmark's scenes: textured objects on textured grounds, with exact label masks.

Eight *things*, each with its own shape, colour and texture, lie on one or two of six *stuff*
textures and may hide one another. What decides a pixel is integer arithmetic on draws from raw
PCG64 output, so a scene is the same on every machine and with every NumPy. Lengths are in
training pixels: the networks are trained on scenes of 64 x 64 with ``unit=1``; the 200 validation
scenes are 256 x 256 with ``unit=2``, so at short side 128 they look like the training scenes.

``python -m mmseg_tfovss.pocket.scenes --root data/pocket`` writes the validation split.
"""

import argparse
import hashlib
import io
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmseg_tfovss.pocket.classes import CLASSES, STUFF, THINGS

NUM_VALIDATION = 200
VALIDATION_SIZE = 256
VALIDATION_UNIT = 2
VALIDATION_SEED = 2_000_003
VALIDATION_RADII = (12, 27)
VALIDATION_SHA256 = {
    "all": "78f1da63bd62b3db72283ad87d73d10fe94289f38c77ac51176799325f41e86f",
    "thing": "ed3b208f2560aa95ab32b4f92655a0f65b8d070e5bd6aed8a4960a5e2769df32",
}

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

# sin(k * 15 degrees) * 1024, k = 0..23
_HALF_SINE = (0, 265, 512, 724, 887, 989, 1024, 989, 887, 724, 512, 265)
_SINE = _HALF_SINE + tuple(-value for value in _HALF_SINE)
# Outward normals of a pentagram's five lines, times 1000.
_STAR_NORMALS = ((0, 1000), (951, 309), (588, -809), (-588, -809), (-951, 309))
_ANY_ROTATION = range(24)
_UPRIGHT = range(-1, 2)


@dataclass(frozen=True)
class Scene:
    """One drawn scene.

    Attributes:
        image: RGB pixels (S, S, 3), uint8.
        labels: index into `CLASSES` at every pixel (S, S), uint8.
        things: indices into `CLASSES` of the things that can be seen well, in the order drawn.
        stuff: indices into `CLASSES` of the grounds that can be seen well.
    """

    image: Bytes
    labels: Bytes
    things: tuple[int, ...]
    stuff: tuple[int, ...]


class Dice:
    """Integer draws that depend on nothing but PCG64's raw output, which NumPy keeps fixed."""

    def __init__(self, *seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def below(self, bound: int) -> int:
        """Draw from 0 .. bound - 1."""
        return int(self._bits.random_raw()) % bound

    def between(self, low: int, high: int) -> int:
        """Draw from low .. high, both included."""
        return low + self.below(high - low + 1)

    def pick(self, population: int, count: int) -> list[int]:
        """Draw `count` distinct members of range(population), in random order."""
        rest = list(range(population))
        return [rest.pop(self.below(len(rest))) for _ in range(count)]


def _noise(x: Ints, y: Ints, salt: int) -> Ints:
    """Hash lattice points to 0..255."""
    mixed = (x * 73856093 ^ y * 19349663 ^ salt * 83492791) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 1274126177) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 16)) & 255


def _smooth_noise(x: Ints, y: Ints, cell: int, salt: int) -> Ints:
    """Interpolate the lattice noise of squares of `cell` bilinearly, 0..255."""
    column, right = np.divmod(x, cell)
    row, down = np.divmod(y, cell)
    top = _noise(column, row, salt) * (cell - right) + _noise(column + 1, row, salt) * right
    low = _noise(column, row + 1, salt) * (cell - right) + _noise(column + 1, row + 1, salt) * right
    return (top * (cell - down) + low * down) // (cell * cell)


def _zigzag(x: Ints, period: int) -> Ints:
    """Triangle wave 0 .. period / 2."""
    return np.abs(x % period - period // 2)


def _paint(base: tuple[int, int, int], shade: Ints) -> Ints:
    """Add one brightness offset (...,) to a colour: (..., 3)."""
    return np.array(base, dtype=np.int64) + shade[..., None]


# Textures map coordinates in sixteenths of a training pixel, and a salt, to RGB.
def _grass(x: Ints, y: Ints, salt: int) -> Ints:
    blade = x // 24
    return _paint((66, 148, 44), (_noise(blade, (y + _noise(blade, blade, 7)) // 80, salt) - 128) // 3)


def _water(x: Ints, y: Ints, salt: int) -> Ints:
    crest = (y + _zigzag(x + 16 * salt, 192)) % 112 < 32
    return _paint((18, 104, 132), 56 * crest + (_smooth_noise(x, y, 128, salt) - 128) // 6)


def _brick(x: Ints, y: Ints, salt: int) -> Ints:
    row = y // 112
    shifted = x + 96 * (row % 2)
    mortar = (y % 112 < 20) | (shifted % 192 < 20)
    shade = (_noise(shifted // 192, row, salt) - 128) // 5
    return np.where(mortar[..., None], 176, _paint((158, 66, 44), shade))


def _sand(x: Ints, y: Ints, salt: int) -> Ints:
    return _paint((222, 194, 136), (_noise(x // 16, y // 16, salt) - 128) // 5)


def _sky(x: Ints, y: Ints, salt: int) -> Ints:
    cloud = np.clip(_smooth_noise(x, 2 * y, 320, salt) - 100, 0, 80)[..., None]
    return (np.array((128, 186, 246)) * (80 - cloud) + 246 * cloud) // 80


def _wood(x: Ints, y: Ints, salt: int) -> Ints:
    seam = x % 176 < 20
    grain = (_noise(x // 20, y // 256, salt) - 128) // 5
    return _paint((136, 92, 52), np.where(seam, -56, grain + (_noise(x // 176, y * 0, salt) - 128) // 8))


_TEXTURES: tuple[Callable[[Ints, Ints, int], Ints], ...] = (
    _grass,
    _water,
    _brick,
    _sand,
    _sky,
    _wood,
)


# Shapes map object coordinates (1000 = the radius, v downwards) and a salt to (inside, RGB).
def _apple(u: Ints, v: Ints, salt: int) -> tuple[NDArray[np.bool_], Ints]:
    body = u * u + (v - 120) ** 2 <= 860**2
    stem = (np.abs(u) <= 110) & (v >= -1000) & (v <= -560)
    shine = (u + 320) ** 2 + (v + 200) ** 2 <= 200**2
    colour = np.where(shine[..., None], (250, 150, 140), (206, 24, 36))
    return body | stem, np.where(stem[..., None], (84, 52, 20), colour)


def _banana(u: Ints, v: Ints, salt: int) -> tuple[NDArray[np.bool_], Ints]:
    inside = (u * u + (v + 100) ** 2 <= 1000**2) & (u * u + (v + 680) ** 2 > 960**2)
    tip = np.abs(u) > 820
    return inside, np.where(tip[..., None], (96, 70, 20), _paint((248, 220, 34), -36 * (v > 560)))


def _gift(u: Ints, v: Ints, salt: int) -> tuple[NDArray[np.bool_], Ints]:
    ribbon = (np.abs(u) <= 150) | (np.abs(v) <= 150)
    return np.maximum(np.abs(u), np.abs(v)) <= 800, np.where(ribbon[..., None], (252, 224, 250), (132, 36, 176))


def _tree(u: Ints, v: Ints, salt: int) -> tuple[NDArray[np.bool_], Ints]:
    crown = (v <= 560) & (np.abs(u) * 1560 <= (v + 1000) * 800)
    trunk = (v > 560) & (v <= 980) & (np.abs(u) <= 190)
    needles = _paint((14, 74, 40), (_noise(u // 130, v // 130, salt) - 128) // 6)
    return crown | trunk, np.where(trunk[..., None], (92, 52, 24), needles)


def _starfish(u: Ints, v: Ints, salt: int) -> tuple[NDArray[np.bool_], Ints]:
    lines = sum(((u * a + v * b <= 370_000).astype(np.int64) for a, b in _STAR_NORMALS), 0 * u)
    dots = _noise(u // 120, v // 120, salt) < 50
    inside = (lines >= 4) & (u * u + v * v <= 1000**2)
    return inside, np.where(dots[..., None], (255, 206, 150), (246, 122, 20))


def _donut(u: Ints, v: Ints, salt: int) -> tuple[NDArray[np.bool_], Ints]:
    distance = u * u + v * v
    sprinkle = _noise(u // 140, v // 140, salt)
    icing = np.where((sprinkle < 24)[..., None], (90, 220, 230), (246, 128, 182))
    colour = np.where((sprinkle > 232)[..., None], (255, 255, 255), icing)
    return (distance <= 950**2) & (distance >= 330**2), colour


def _fish(u: Ints, v: Ints, salt: int) -> tuple[NDArray[np.bool_], Ints]:
    body = ((u + 220) * 520) ** 2 + (v * 760) ** 2 <= (520 * 760) ** 2
    tail = (u >= 380) & (u <= 980) & (np.abs(v) * 10 <= (u - 300) * 9)
    scales = _paint((30, 50, 190), 70 * (u % 320 < 130))
    eye = (u + 640) ** 2 + (v + 120) ** 2 <= 130**2
    return body | tail, np.where(eye[..., None], (255, 255, 255), scales)


def _ball(u: Ints, v: Ints, salt: int) -> tuple[NDArray[np.bool_], Ints]:
    patch = (u // 300 + v // 300) % 2 == 0
    return u * u + v * v <= 920**2, np.where(patch[..., None], (20, 20, 24), (244, 244, 244))


_SHAPES: tuple[tuple[Callable[[Ints, Ints, int], tuple[NDArray[np.bool_], Ints]], range], ...] = (
    (_apple, _UPRIGHT),
    (_banana, _ANY_ROTATION),
    (_gift, _ANY_ROTATION),
    (_tree, _UPRIGHT),
    (_starfish, _ANY_ROTATION),
    (_donut, _ANY_ROTATION),
    (_fish, _ANY_ROTATION),
    (_ball, _ANY_ROTATION),
)


def _draw_ground(size: int, unit: int, grounds: list[int], dice: Dice) -> tuple[Ints, Bytes]:
    """Fill the canvas with one texture, or with two that meet at a slanted line."""
    row, column = np.indices((size, size), dtype=np.int64)
    zoom, salt = dice.between(12, 18), dice.below(1 << 20)
    x = (column * zoom) // unit + dice.below(1 << 12)
    y = (row * zoom) // unit + dice.below(1 << 12)
    image = _TEXTURES[grounds[0]](x, y, salt)
    labels = np.full((size, size), len(THINGS) + grounds[0], dtype=np.uint8)
    if len(grounds) > 1:
        angle = dice.below(24)
        across = _SINE[angle] * (2 * column - size) + _SINE[(angle + 6) % 24] * (2 * row - size)
        second = across > dice.between(-300, 300) * size
        image[second] = _TEXTURES[grounds[1]](x, y, salt + 1)[second]
        labels[second] = len(THINGS) + grounds[1]
    return image + np.array([dice.between(-14, 14) for _ in range(3)]), labels


def _draw_thing(image: Ints, labels: Bytes, thing: int, radius: int, dice: Dice) -> None:
    """Draw one object over the canvas, in place; its centre is always inside."""
    size = len(labels)
    margin = size // 12
    x0, y0 = dice.between(margin, size - margin), dice.between(margin, size - margin)
    shape, rotations = _SHAPES[thing]
    angle = rotations[dice.below(len(rotations))] % 24
    mirror = 1 - 2 * dice.below(2)
    top, left = max(0, y0 - radius), max(0, x0 - radius)
    row, column = np.indices((min(size, y0 + radius) - top, min(size, x0 + radius) - left), dtype=np.int64)
    dx, dy = (2 * (column + left - x0) + 1) * mirror, 2 * (row + top - y0) + 1
    sine, cosine = _SINE[angle], _SINE[(angle + 6) % 24]
    u = (dx * cosine + dy * sine) * 1000 // (2048 * radius)
    v = (dy * cosine - dx * sine) * 1000 // (2048 * radius)
    inside, colour = shape(u, v, dice.below(1 << 20))
    box = (slice(top, top + len(row)), slice(left, left + row.shape[1]))
    tint = np.array([dice.between(-16, 16) for _ in range(3)])
    image[box][inside] = colour[inside] + tint
    labels[box][inside] = thing


def draw_scene(dice: Dice, size: int, unit: int, count: int, radii: tuple[int, int]) -> Scene:
    """Draw one scene.

    Args:
        dice: source of every choice.
        size: side of the square image in pixels.
        unit: pixels per training pixel, which sets the scale of textures and objects.
        count: number of objects, of distinct classes; later ones hide earlier ones.
        radii: smallest and largest radius of an object, in training pixels.
    """
    grounds = dice.pick(len(STUFF), 1 + (dice.below(5) < 2))
    image, labels = _draw_ground(size, unit, grounds, dice)
    drawn = dice.pick(len(THINGS), count)
    for thing in drawn:
        _draw_thing(image, labels, thing, dice.between(radii[0] * unit, radii[1] * unit), dice)
    row, column = np.indices((size, size), dtype=np.int64)
    grain = _noise(column, row, dice.below(1 << 20)) % 13 - 6
    pixels = np.clip(image + grain[..., None], 0, 255).astype(np.uint8)
    area = np.bincount(labels.ravel(), minlength=len(CLASSES))
    seen = area >= 40 * unit * unit
    return Scene(
        image=pixels,
        labels=labels,
        things=tuple(thing for thing in drawn if seen[thing]),
        stuff=tuple(len(THINGS) + ground for ground in grounds if seen[len(THINGS) + ground]),
    )


def draw_validation() -> Iterator[Scene]:
    """Draw the validation split, scene by scene."""
    for index in range(NUM_VALIDATION):
        dice = Dice(VALIDATION_SEED, index)
        count = dice.between(2, 5)
        yield draw_scene(dice, VALIDATION_SIZE, VALIDATION_UNIT, count, VALIDATION_RADII)


def to_thing_labels(labels: Bytes) -> Bytes:
    """Map indices into `CLASSES` to 0 = background (all stuff), 1.. = things."""
    return np.where(labels < len(THINGS), labels + 1, 0).astype(np.uint8)


def _encode_png(pixels: Bytes) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _folders(root: Path) -> dict[str, Path]:
    return {name: root / name / "val" for name in ("images", "annotations_all", "annotations_thing")}


def compute_digests(root: Path) -> dict[str, str]:
    """Hash each variant's pixels and labels as they are read back from `root`.

    A file that is missing, or that cannot be read as an image, counts as empty.
    """
    hashes = {"all": hashlib.sha256(), "thing": hashlib.sha256()}
    folders = _folders(root)
    for index in range(NUM_VALIDATION):
        image = _read_pixels(folders["images"] / f"{index:04d}.png")
        for variant, digest in hashes.items():
            digest.update(image)
            digest.update(_read_pixels(folders[f"annotations_{variant}"] / f"{index:04d}.png"))
    return {variant: digest.hexdigest() for variant, digest in hashes.items()}


def _read_pixels(path: Path) -> bytes:
    try:
        with Image.open(path) as image:
            return np.asarray(image).tobytes()
    except OSError:
        return b""


def _write_scenes(root: Path) -> None:
    """Write the three folders below `root`."""
    folders = _folders(root)
    for folder in folders.values():
        folder.mkdir(parents=True)
    for index, scene in enumerate(draw_validation()):
        for name, pixels in (
            ("images", scene.image),
            ("annotations_all", scene.labels),
            ("annotations_thing", to_thing_labels(scene.labels)),
        ):
            (folders[name] / f"{index:04d}.png").write_bytes(_encode_png(pixels))


def ensure_scenes(root: Path) -> None:
    """Check the validation split under `root`, and write it first if it is not there.

    The folder appears complete or not at all, also when several processes start at once: each
    writes a sibling folder and the first to finish renames its own into place.

    Raises:
        ValueError: what lies under `root` is not the recorded split.
    """
    if not _is_present(root):
        root.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
        try:
            _write_scenes(scratch)
            scratch.chmod(0o755)
            _rename_unless_present(scratch, root)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    if _digests_of(root.absolute(), _stamps(root)) != VALIDATION_SHA256:
        raise ValueError(
            f"{root} differs from the recorded pocket benchmark. If it is a folder of your own, it cannot take the"
            " place of these scenes: make a config for it with tfovss dataset init. If it is a damaged copy, move it"
            " away: it is made again in a few seconds."
        )


@lru_cache(maxsize=8)
def _digests_of(root: Path, stamps: tuple[str, ...]) -> dict[str, str]:
    """Digests of files with these stamps: a process that makes several datasets of them reads them once."""
    return compute_digests(root)


def _stamps(root: Path) -> tuple[str, ...]:
    """Size, times and place of each file; empty where there is none."""
    files = [folder / f"{index:04d}.png" for folder in _folders(root).values() for index in range(NUM_VALIDATION)]
    return tuple(map(_stamp, files))


def _stamp(file: Path) -> str:
    try:
        facts = file.stat()
    except OSError:
        return ""
    return f"{facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns} {facts.st_ino}"


def _is_present(root: Path) -> bool:
    return root.is_dir() and any(root.iterdir())


def _rename_unless_present(scratch: Path, root: Path) -> None:
    """Rename; losing the race against another process that made the same folder is success."""
    try:
        scratch.rename(root)
    except OSError:
        if not _is_present(root):
            raise


def main(arguments: list[str] | None = None) -> None:
    """Write, or check, the validation split."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--root", type=Path, default=Path("data/pocket"), help="folder to fill")
    root = parser.parse_args(arguments).root
    try:
        ensure_scenes(root)
    except ValueError as error:
        parser.exit(1, f"{error}\n")
    sys.stdout.write(f"{NUM_VALIDATION} scenes in {root}\n")


if __name__ == "__main__":
    main()
