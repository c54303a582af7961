"""The colours of the heat maps: one hue, so that lightness alone carries the value, and text that contrasts with it.

A scale whose lightness only rises or only falls reads the same with every kind of colour vision, and in grey. The
steps are equal in OKLab (Björn Ottosson, 2020), where equal distances look equal.
"""

from collections.abc import Sequence

STEPS = 20  # of 5 points each
BLACK, WHITE = "#000000", "#ffffff"
LIGHT = ("#ffffff", "#5aa2e6", "#08306b")  # of a low, a middle and a high value
DARK = ("#14171b", "#2b6cb0", "#d6ebff")
_TO_LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
_TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
_FROM_LAB = (
    (1.0, 0.3963377774, 0.2158037573),
    (1.0, -0.1055613458, -0.0638541728),
    (1.0, -0.0894841775, -1.2914855480),
)
_FROM_LMS = (
    (4.0767416621, -3.3077115913, 0.2309699292),
    (-1.2684380046, 2.6097574011, -0.3413193965),
    (-0.0041960863, -0.7034186147, 1.7076147010),
)
_LUMINANCE = (0.2126, 0.7152, 0.0722)  # of linear red, green and blue
_BEND, _FOOT, _GAMMA, _OFFSET = 0.0031308, 12.92, 2.4, 0.055  # of sRGB's curve
_GLARE = 0.05  # of WCAG's contrast


def step_of(percent: float) -> int:
    """The step of a value in percent, 0 .. :data:`STEPS`."""
    return min(STEPS, max(0, round(percent * STEPS / 100)))


def colours(anchors: Sequence[str]) -> list[str]:
    """The colours of all steps, from low to high.

    Args:
        anchors: ``#rrggbb`` of the lowest, the middle and the highest step.

    Returns:
        ``STEPS + 1`` colours.
    """
    low, middle, high = map(_lab, anchors)
    half = STEPS // 2
    ways = [(low, middle, n / half) for n in range(half)] + [(middle, high, n / half) for n in range(half + 1)]
    return [_hex([a + (b - a) * part for a, b in zip(start, end, strict=True)]) for start, end, part in ways]


def text_on(colour: str) -> str:
    """Black or white, whichever contrasts more with a colour."""
    return max((BLACK, WHITE), key=lambda text: contrast(text, colour))


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio of two colours ``#rrggbb``, 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + _GLARE) / (dark + _GLARE)


def luminance(colour: str) -> float:
    """Relative luminance of a colour ``#rrggbb``, 0 to 1."""
    return sum(weight * part for weight, part in zip(_LUMINANCE, _linear(colour), strict=True))


def rules(anchors: Sequence[str]) -> str:
    """Style rules ``.h0`` to ``.h20`` for the cells of all steps."""
    return " ".join(
        f".h{step} {{ background: {colour}; color: {text_on(colour)}; }}"
        for step, colour in enumerate(colours(anchors))
    )


def _linear(colour: str) -> list[float]:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    edge = _BEND * _FOOT
    return [part / _FOOT if part <= edge else ((part + _OFFSET) / (1 + _OFFSET)) ** _GAMMA for part in parts]


def _lab(colour: str) -> list[float]:
    return _times(_TO_LAB, [value ** (1 / 3) for value in _times(_TO_LMS, _linear(colour))])


def _hex(lab: Sequence[float]) -> str:
    linear = _times(_FROM_LMS, [value**3 for value in _times(_FROM_LAB, lab)])
    parts = (min(1.0, max(0.0, part)) for part in linear)
    curved = [part * _FOOT if part <= _BEND else (1 + _OFFSET) * part ** (1 / _GAMMA) - _OFFSET for part in parts]
    return "#" + "".join(f"{round(part * 255):02x}" for part in curved)


def _times(matrix: Sequence[Sequence[float]], vector: Sequence[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]
