"""Files that nobody should trust: seeded mutations of small official ones."""

import copy
import json

from tests.prepare import official

_BYTES = (0, 1, 127, 128, 255)
_VALUES = (
    *(None, True, -1, 0, 1, 2.5, 460, 2**31, 2**63, 10**30, 1e300, float("nan"), float("inf")),
    *("", "car", "o" * 1000, "\x1b[31m\n", "\ud800", [], {}, [1], [[1, 2]], [[0, 0], [1e18, -1e18], [5, 5]], {"a": 1}),
)


def mutate_bytes(content, draw, start=0):
    """Change, drop, repeat or insert a few bytes, most often behind `start`."""
    raw = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        place = draw.randrange(start if draw.random() < 0.8 else 0, len(raw))
        kind = draw.random()
        if kind < 0.7:
            raw[place] = draw.choice((*_BYTES, draw.randrange(256), raw[place] ^ (1 << draw.randrange(8))))
        elif kind < 0.8:
            del raw[place : place + draw.choice((1, 4, 50))]
        elif kind < 0.9:
            raw[place:place] = raw[place : place + draw.choice((1, 4, 50))]
        else:
            raw[place : place + 4] = draw.choice((b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff", b"\xff" * 4, bytes(4)))
        if len(raw) <= start:
            return bytes(raw)
    return bytes(raw)


def mutate_json(content, draw):
    """Put a value of another kind or size, or nothing, in one or two places."""
    tree = json.loads(content)
    for _ in range(draw.choice((1, 1, 2))):
        container = tree
        while True:
            keys = list(container) if isinstance(container, dict) else list(range(len(container)))
            inner = [key for key in keys if isinstance(container[key], dict | list) and container[key]]
            if inner and draw.random() < 0.8:
                container = container[draw.choice(inner)]
                continue
            key = draw.choice(keys)
            if draw.random() < 0.2:
                del container[key]
            elif isinstance(container[key], str) and draw.random() < 0.7:
                text = list(container[key] or "0")
                text[draw.randrange(len(text))] = draw.choice("0o~P`\x00é1" + "o" * 3) * draw.choice((1, 1, 40))
                container[key] = "".join(text)
            else:
                container[key] = copy.deepcopy(draw.choice(_VALUES))
            break
    return json.dumps(tree).encode()


def context_segments():
    """What a conversion of PASCAL Context gets: one image's segments."""
    masks = official.context_record(official.context_masks())
    segments = [
        {key: segment[key] for key in ("id", "category_id", "segmentation")}
        for segment in masks["annos_segmentation"][:2]
    ]
    height, width = official.SIZE
    return json.dumps({"height": height, "width": width, "segments": segments}).encode()


def polygons():
    """What a conversion of Cityscapes' polygons gets."""
    corners = [[0, 0], [8, 0], [8, 5], [0, 5]]
    things = [{"label": label, "polygon": corners, "deleted": 0} for label in ("road", "cargroup", "license plate")]
    return json.dumps({"imgHeight": 6, "imgWidth": 9, "objects": things}).encode()
