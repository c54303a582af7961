"""The pocket benchmark's classes and their colours."""

THINGS = ("apple", "banana", "gift", "tree", "starfish", "donut", "fish", "ball")
STUFF = ("grass", "water", "brick", "sand", "sky", "wood")
CLASSES = THINGS + STUFF
THING_PALETTE = [
    [214, 39, 40],
    [255, 221, 51],
    [148, 52, 190],
    [0, 90, 50],
    [255, 140, 26],
    [247, 130, 190],
    [31, 70, 200],
    [40, 40, 40],
]
STUFF_PALETTE = [
    [116, 196, 80],
    [0, 158, 170],
    [160, 82, 45],
    [230, 206, 150],
    [150, 205, 255],
    [110, 84, 60],
]
