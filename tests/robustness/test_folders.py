"""Folders that cannot be written, full disks, damaged states: one sentence each, and nothing is lost."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmseg_tfovss.cli import user_errors
from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine import lock
from mmseg_tfovss.engine.lock import LOCK_NAME
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.evaluation.result import read_result
from tests.engine.fakes import scores_of
from tests.engine.test_lock import HOLDER
from tests.engine.test_run import CONFIG, SIZES, make_voc, small_options
from tests.robustness.kill import Fate, Killed


@pytest.fixture
def config(tmp_path, mini_clip):
    return load_config(CONFIG, small_options(make_voc(tmp_path), mini_clip, tmp_path / "work"))


def sentence_of(capsys, config, **options):
    """What tools/test.py would say."""
    with pytest.raises(SystemExit) as end, user_errors():
        run_test(config, **options)
    assert end.value.code == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_a_folder_that_cannot_be_written_is_refused_before_the_weights_are_read(config, monkeypatch, capsys):
    config.model.backbone.pretrained = "no-such-weights"

    def read_only(path, *arguments, **options):
        if path.name == LOCK_NAME:
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return opened(path, *arguments, **options)

    opened = Path.open
    monkeypatch.setattr(Path, "open", read_only)
    assert sentence_of(capsys, config).endswith("work/.lock: Read-only file system.")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(config, tmp_path, capsys):
    (tmp_path / "work").mkdir(mode=0o500)
    assert "Permission denied" in sentence_of(capsys, config)


def test_a_file_where_the_folder_should_be(config, tmp_path, capsys):
    (tmp_path / "work").write_text("")
    assert sentence_of(capsys, config) == f"error: {tmp_path / 'work'}: File exists."


def test_two_runs_in_one_folder(config, tmp_path, capsys):
    command = [sys.executable, "-c", HOLDER, lock.__file__, str(tmp_path / "work")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        assert f"is in use by process {other.pid} on" in sentence_of(capsys, config, resume=True)
        other.kill()
    assert run_test(config, resume=True)["num_images"] == len(SIZES)


def test_a_disk_that_is_full_from_the_start(config, monkeypatch, capsys):
    """An earlier result stays where it is."""
    first = run_test(config)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    assert sentence_of(capsys, config).endswith("state/0000-0000.npz: No space left on device.")
    assert read_result(Path(config.work_dir)) == first


def test_a_disk_that_fills_up_keeps_the_last_good_state(session, monkeypatch, caplog):
    expected = session(resume=False)
    expected.run()
    expected.state.forget()
    fate, write, room = Fate(monkeypatch), np.savez_compressed, [3]

    def filling(*arguments, **arrays):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*arguments, **arrays)

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez_compressed", filling)
        fate.left = 90
        with pytest.raises(Killed):
            session(save_images=4).run()
    fate.left = None
    assert "No space left on device" in caplog.text
    rest = session()
    rest.run()
    assert rest.earlier_batches == 4  # the empty state and two more had room
    assert scores_of(rest) == scores_of(expected)


@pytest.mark.parametrize(
    "damage", [lambda raw: b"", lambda raw: raw[: len(raw) // 2], lambda raw: os.urandom(len(raw))]
)
def test_a_damaged_state_costs_a_few_images_only(session, monkeypatch, caplog, damage):
    expected = session(resume=False)
    expected.run()
    expected.state.forget()
    fate = Fate(monkeypatch)
    fate.left = 100
    with pytest.raises(Killed):
        session(save_images=4).run()
    fate.left = None
    path = expected.state.path / "0000-0000.npz"
    path.write_bytes(damage(path.read_bytes()))
    rest = session()
    rest.run()
    assert "0000-0000.npz is damaged" in caplog.text
    assert rest.earlier_batches > 0
    assert scores_of(rest) == scores_of(expected)
