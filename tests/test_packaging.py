"""The built wheel, installed where nothing of the repository is; pytest -m packaging."""

import os
import shutil
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "tests/parity/images/china.png"
WORDS = ("--classes", "sky, cloud; temple; tree")
POCKET = ("--cfg-options", "model.backbone.pretrained=pocket")
pytestmark = pytest.mark.packaging


def call(*command, cwd):
    """Start a command without what points to this repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MMSEG_TFOVSS"))}
    environment["OMP_NUM_THREADS"] = "1"
    return subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Of what git tracks, as it is here: without what earlier builds have left."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/")):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    build = ("-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, source)
    answer = call(sys.executable, *build, cwd=folder)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def commands(wheel, tmp_path_factory):
    """Folder of the commands of an environment with the wheel, and with what it needs from the present one."""
    venv = tmp_path_factory.mktemp("venv")
    answer = call(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv)
    assert answer.returncode == 0, answer.stderr
    install = ("--python", venv / "bin/python", "install", "--no-deps", "--no-index", wheel)
    answer = call(sys.executable, "-m", "pip", *install, cwd=venv)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    [packages] = venv.glob("lib/python3*/site-packages")
    # Paths in such a file are taken as they are: an editable install of this package over there does not act.
    (packages / "needed.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return venv / "bin"


def test_it_holds_every_config_once(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    inside = sorted(name for name in names if "/configs/" in name)
    assert inside == sorted(f"mmseg_tfovss/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.py"))
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"mmseg_tfovss"}


def test_it_holds_all_data_that_git_tracks(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(["git", "ls-files", "mmseg_tfovss"], cwd=ROOT, capture_output=True, text=True, check=True)
    tracked = {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}
    assert tracked <= names, tracked - names


def test_the_demo_of_a_method_in_an_empty_folder(commands, tmp_path):
    shutil.copy(PHOTO, tmp_path / "photo.png")
    answer = call(commands / "tfovss", "demo", "photo.png", "sclip", *WORDS, *POCKET, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[-1] == "Written to work_dirs/demo: photo_mask.png, photo_overlay.png"
    with Image.open(tmp_path / "work_dirs/demo/photo_mask.png") as mask, Image.open(PHOTO) as photo:
        assert mask.size == photo.size
        assert mask.getextrema()[1] <= 2


def test_a_config_by_its_name_and_its_leaderboard(commands, tmp_path):
    python = commands / "python"
    few = ("--cfg-options", "test_dataloader.dataset.indices=2", "test_dataloader.num_workers=0")
    answer = call(python, "-m", "mmseg_tfovss", "test", "sclip_vit-pocket_pocket_all", *few, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "Written: work_dirs/sclip_vit-pocket_pocket_all/result.json" in answer.stdout
    board = call(commands / "tfovss", "leaderboard", "work_dirs", "--published", "--out", "board", cwd=tmp_path)
    assert board.returncode == 0, board.stderr  # 2 of 200 images were asked for
    assert (tmp_path / "board/leaderboard.html").is_file()


def test_a_config_of_a_dataset_that_is_not_there(commands, tmp_path):
    answer = call(commands / "tfovss", "test", "sclip_vit-b16_voc21", cwd=tmp_path)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "voc21 does not exist: prepare it with tfovss prepare voc21, or set " in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_an_array_of_names(commands, tmp_path):
    answer = call(commands / "tfovss", "array", "sclip_vit-pocket_pocket_all", "--dry-run", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "python -m mmseg_tfovss test " in answer.stdout
    assert " sclip_vit-pocket_pocket_all -> work_dirs/sclip_vit-pocket_pocket_all" in answer.stdout
