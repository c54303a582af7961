"""Progress lines where there is no terminal."""

from types import SimpleNamespace

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
