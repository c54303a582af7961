"""Progress lines where there is no terminal."""

from types import SimpleNamespace

from mmseg_tfovss.engine.batches import FixedBatches
from mmseg_tfovss.engine.progress import ProgressHook


def test_ten_lines_with_time_left(capsys):
    runner = SimpleNamespace(cfg=SimpleNamespace(filename="configs/sclip/run.py"), test_dataloader=range(100))
    hook = ProgressHook()
    hook.before_test(runner)
    for index in range(100):
        hook.after_test_iter(runner, index)
    hook.after_test(runner)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("run: 10/100 batches, 0:00:0")
    assert lines[-1] == "run: 100/100 batches, 0:00:00 left"


def test_earlier_sessions_and_other_processes_count(capsys):
    """The second of two processes' share is done as fast as the first's; the time left is of this session's speed."""
    batches = FixedBatches(SimpleNamespace(dataset=range(100)), 1)
    batches.leave_out(range(40))
    loop = SimpleNamespace(batches=batches, earlier_batches=40)
    cfg = SimpleNamespace(filename="configs/sclip/run.py")
    runner = SimpleNamespace(cfg=cfg, test_dataloader=range(30), test_loop=loop)
    hook = ProgressHook()
    hook.before_test(runner)
    for index in range(30):
        hook.after_test_iter(runner, index)
    lines = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert lines == [f"run: {done}/100 batches" for done in (50, 60, 70, 80, 90, 100)]
