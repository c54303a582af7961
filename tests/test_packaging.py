"""The built wheel, installed where nothing of the repository is; pytest -m packaging."""

import os
import shutil
import site
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from PIL import Image

from mmseg_tfovss.commands import COMMANDS
from mmseg_tfovss.extras import EXTRAS, PROJECTS

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "tests/parity/images/china.png"
WORDS = ("--classes", "sky, cloud; temple; tree")
POCKET = ("--cfg-options", "model.backbone.pretrained=pocket")
FEW = ("--cfg-options", "test_dataloader.dataset.indices=2", "test_dataloader.num_workers=0")
pytestmark = pytest.mark.packaging


def call(*command, cwd, **variables):
    """Start a command without what points to this repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MMSEG_TFOVSS"))}
    environment |= {"OMP_NUM_THREADS": "1", **variables}
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


def test_what_only_some_methods_need_is_an_extra(wheel):
    [name] = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".dist-info/METADATA")]
    metadata = Parser().parsestr(zipfile.ZipFile(wheel).read(name).decode())
    needed = metadata.get_all("Requires-Dist")
    for package, extra in EXTRAS.items():
        lines = [line for line in needed if line.startswith(PROJECTS.get(package, package))]
        assert f'extra == "{extra}"' in " ".join(lines)
        assert all("extra ==" in line for line in lines)
    assert {*EXTRAS.values(), "all", "test"} <= set(metadata.get_all("Provides-Extra"))


def test_both_ways_to_start_it_list_the_commands(commands, tmp_path):
    for start in ((commands / "tfovss",), (commands / "python", "-m", "mmseg_tfovss")):
        answer = call(*start, "--help", cwd=tmp_path)
        assert answer.returncode == 0, answer.stderr
        assert all(f"\n  {name} " in answer.stdout for name in COMMANDS)


def test_python_in_an_empty_folder(commands, tmp_path):
    code = (
        "import mmseg_tfovss as tf; segment = tf.load('LHT-CLIP', pretrained='pocket', device='cpu');"
        f" print(segment(r'{PHOTO}', ['sky', 'tree']).classes, len(tf.list_methods()) > 20)"
    )
    answer = call(commands / "python", "-c", code, cwd=tmp_path)
    assert answer.stdout.splitlines()[-1:] == ["('sky', 'tree') True"], answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_the_usual_weights_are_one_sentence(commands, tmp_path):
    shutil.copy(PHOTO, tmp_path / "photo.png")
    nowhere = "http://127.0.0.1:9"
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub"), "HOME": str(tmp_path / "home")}
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere)
    answer = call(commands / "tfovss", "demo", "photo.png", "sclip", *WORDS, cwd=tmp_path, **offline, **proxies)
    assert answer.returncode == 1
    [line] = answer.stderr.splitlines()
    assert line.startswith("error: The weights ViT-B-16/openai are not in the local cache and could not be downloaded")
    assert not (tmp_path / "work_dirs").exists()


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
    answer = call(python, "-m", "mmseg_tfovss", "test", "sclip_vit-pocket_pocket_all", *FEW, cwd=tmp_path)
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


def test_a_dataset_of_ones_own(commands, tmp_path):
    from tests.own_data.layouts import segnet

    segnet(tmp_path)
    folders = ("--images", "CamVid/test", "--masks", "CamVid/testannot")
    init = ("dataset", "init", "camvid", *folders, "--classes", "classes.txt", "--ignore", "11")
    answer = call(commands / "tfovss", *init, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    answer = call(commands / "tfovss", "test", "camvid/naclip_vit-pocket_camvid.py", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "Written: work_dirs/naclip_vit-pocket_camvid/result.json" in answer.stdout


def test_a_list_of_names_on_this_machine(commands, tmp_path):
    answer = call(commands / "tfovss", "array", "sclip_vit-pocket_pocket_all", "--local", 1, *FEW, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "work_dirs/sclip_vit-pocket_pocket_all/result.json").is_file()


@pytest.mark.skipif("benchmark-pocket" not in COMMANDS, reason="there is no such command yet")
def test_the_bundled_benchmark_of_one_method(commands, tmp_path):
    answer = call(commands / "tfovss", "benchmark-pocket", "--methods", "clip", "--jobs", 1, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert list(tmp_path.rglob("leaderboard.html"))
