"""Ten thousand images need no more memory than a thousand."""

import tracemalloc
from pathlib import Path

import pytest

from mmseg_tfovss.evaluation import SegmentationMetric
from tests.engine.fakes import FakeImages

IMAGES = 10_000
ROOM = 2 << 20  # bytes


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.slow
def test_memory_stays_flat(session, tmp_path, monkeypatch):
    sizes, process = {}, SegmentationMetric.process

    def measured(metric, *arguments):
        process(metric, *arguments)
        if metric.num_images in (IMAGES // 10, IMAGES):
            sizes[metric.num_images] = (resident(), tracemalloc.get_traced_memory()[0])

    monkeypatch.setattr(SegmentationMetric, "process", measured)
    monkeypatch.setattr(FakeImages, "loaded", property(lambda _: [], lambda *_: None), raising=False)
    loop = session(images=FakeImages(tmp_path / "data", IMAGES))
    tracemalloc.start()
    loop.run()
    tracemalloc.stop()
    assert loop.metric.total_images == IMAGES
    for before, after in zip(sizes[IMAGES // 10], sizes[IMAGES], strict=True):
        assert after - before < ROOM
