"""A colour for every class, however many there are."""


def pascal_colours(count: int) -> list[list[int]]:
    """PASCAL VOC's colour map, whose rule gives any number of distinct colours.

    The bits of a class id are dealt out to red, green and blue in turn, each colour from its highest bit down.

    Args:
        count: number of classes.

    Returns:
        One [red, green, blue] (0..255) per class.
    """
    colours = []
    for label in range(count):
        channels = [0, 0, 0]
        for bit in range(24):
            channels[bit % 3] |= (label >> bit & 1) << (7 - bit // 3)
        colours.append(channels)
    return colours
