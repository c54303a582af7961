"""The image for measurements without one."""

from mmseg_tfovss.datasets.files import read_image
from mmseg_tfovss.profiling.noise_image import make_noise_image


def test_noise_image_is_the_same_every_time(tmp_path):
    first, second = (make_noise_image(tmp_path / name, (33, 65)) for name in ("a.jpg", "b.jpg"))
    assert first.read_bytes() == second.read_bytes()
    assert read_image(first).shape == (33, 65, 3)
