"""A new run's files take no earlier ones' places."""

from mmseg_tfovss.earlier_files import keep_earlier


def test_files_that_are_there_get_the_same_free_number(tmp_path, capsys):
    table, page = tmp_path / "scale.csv", tmp_path / "scale.md"
    assert keep_earlier([table, page]) == []
    assert capsys.readouterr().err == ""
    table.write_text("first")
    page.write_text("page")
    (tmp_path / "scale.1.md").write_text("taken")
    assert keep_earlier([table, page]) == [tmp_path / "scale.2.csv", tmp_path / "scale.2.md"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["scale.1.md", "scale.2.csv", "scale.2.md"]
    assert (tmp_path / "scale.2.csv").read_text() == "first"
    told = f"The files of an earlier run are kept as {tmp_path}/scale.2.csv, {tmp_path}/scale.2.md.\n"
    assert capsys.readouterr().err == told
    page.write_text("second")
    assert keep_earlier([table, page]) == [tmp_path / "scale.3.md"]
    assert "The file of an earlier run is kept as" in capsys.readouterr().err
