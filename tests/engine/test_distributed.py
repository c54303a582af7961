"""Two processes count what one process counts (pytest -m slow)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    config = str(ROOT / "configs/sclip/sclip_vit-pocket_pocket_all.py")
    script = f"PYTHON={sys.executable} {ROOT}/tools/dist_test.sh {config} 2 --work-dir {tmp_path}/two"
    subprocess.run(script, shell=True, check=True, cwd=tmp_path)
    command = [sys.executable, ROOT / "tools/test.py", config, "--work-dir", tmp_path / "one"]
    subprocess.run(command, check=True, cwd=tmp_path)
    one, two = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("one", "two"))
    assert one["metrics"] == two["metrics"]
    assert one["num_images"] == two["num_images"] == 200
