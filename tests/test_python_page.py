"""docs/python.md: what it shows works, and its lists are those of the package."""

import configparser
import re
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_tfovss.catalogue import resolve
from mmseg_tfovss.pocket.scenes import draw_validation

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/python.md").read_text()


def test_the_examples_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(next(draw_validation()).image).resize((64, 48)).save("photo.jpg")
    Path("classes.txt").write_text("cat\ndog, puppy\n")
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
            exec(compile(code, "docs/python.md", "exec"), names)
    result = names["result"]
    assert (result.classes, result.queries) == (("cat", "dog"), ("cat", "dog", "puppy"))
    assert (result.scores.shape, result.scores.dtype) == ((3, 48, 64), np.float32)
    assert len(names["results"]) == 2
    assert Path("overlay.png").is_file()


def test_the_names_of_the_examples_mean_something():
    [examples] = re.findall(r"```py\n(.*?)```", PAGE, re.DOTALL)
    named = re.findall(r'tf\.load\("([^"]+)"', examples)
    assert len(named) >= 6
    for name in named:
        assert resolve(name)[0].is_file()


def test_the_extras_are_those_of_setup_cfg():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = {name: text.split() for name, text in setup["options.extras_require"].items()}
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \|", PAGE.partition("| extra |")[2], re.MULTILINE)
    assert {name for name, _ in rows} == {"companions", "diffusion", "pot", "app", "all"}
    for name, packages in rows:
        if name != "all":
            assert packages.split(", ") == [re.sub(r"\W.*", "", package) for package in extras[name]]
    assert extras["all"] == ["mmseg_tfovss[companions,diffusion,pot,app]"]
