"""The picture of the page for README.md."""

import pytest
from PIL import Image

from mmseg_tfovss.leaderboard.html import to_html
from tests.leaderboard.boards import board, scored
from tests.leaderboard.picture import MOST_BYTES, WIDTH, take_picture


def test_a_page_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.html does not exist: name the leaderboard\.html"):
        take_picture(tmp_path / "no.html", tmp_path / "picture.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.browser
def test_the_picture_ends_with_the_first_table(tmp_path):
    sizes = []
    for rows in (2, 12):
        results = [scored(n, method=f"M{n}", dataset="pocket_all") for n in range(rows)]
        (tmp_path / "page.html").write_text(to_html(board(*results), tmp_path), encoding="utf-8")
        take_picture(tmp_path / "page.html", tmp_path / "picture.png")
        assert (tmp_path / "picture.png").stat().st_size < MOST_BYTES
        with Image.open(tmp_path / "picture.png") as picture:
            assert picture.width == WIDTH
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 10
            sizes.append(picture.height)
    assert 8 * 25 < sizes[1] - sizes[0] < 12 * 60  # ten rows more
