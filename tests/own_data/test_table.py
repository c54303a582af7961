"""Class files in all their forms."""

import pytest

from mmseg_tfovss.own_data.ignored import ignore
from mmseg_tfovss.own_data.table import colour_code, colour_of, entries_of, read_table, spoken
from mmseg_tfovss.vocabulary import load_vocabulary


@pytest.fixture
def table(tmp_path):
    def read(text, **options):
        path = tmp_path / "classes.txt"
        path.write_text(text)
        return read_table(str(path), **options)

    return read


def test_words(table):
    found = table("# own words\n\nsky, cloud\n# a comment\ncat\ndog, puppy\n\n")
    assert found.names == ("sky", "cat", "dog")
    assert found.queries == (("sky", "cloud"), ("cat",), ("dog", "puppy"))
    assert (found.values, found.coloured, found.background, found.is_plain) == ((0, 1, 2), False, False, True)


def test_semicolons_separate_synonyms_as_in_authors_files(table):
    assert table("cat; kitten\ndog\n").queries == (("cat", "kitten"), ("dog",))
    for text in ("red; blue; sand\n", "red, blue, sand"):
        with pytest.raises(ValueError, match=r"has 1 class of 3 words \(red, blue, sand\): write one class a line"):
            table(text)


@pytest.mark.parametrize(("text", "line"), [("cat\n\ndog\n", 2), ("\ncat\n", 1), ("# own\ncat\ncow\n \ndog", 4)])
def test_a_blank_line_would_shift_labels(table, text, line):
    with pytest.raises(ValueError, match=rf"Line {line} of .*classes\.txt is blank, but lines with classes follow"):
        table(text)


@pytest.mark.parametrize("text", ["cat\n{}\n", "name,label\n{},3\n"])
def test_a_word_that_a_run_would_refuse_is_refused_at_once(table, text):
    message = r'The word "red red.*" \(line 2 of .*classes\.txt\) makes 2\d\d tokens in the prompt .* reads 77: shorten'
    with pytest.raises(ValueError, match=message):
        table(text.format("red " * 200))
    assert table(text.format("red " * 20))


def test_labels_from_one_on(table):
    found = ignore(table("wall\nbuilding\n", first_label=1), ["0"])
    assert (found.values, found.ignored, found.is_plain) == ((1, 2), (0,), False)


@pytest.mark.parametrize(
    ("text", "background"),
    [
        ("background, sky\ncat\n", True),
        ("other\ncat\n", True),
        ("# background: none\nother\ncat\n", False),
        ("# background: class 0\nwall\ncat\n", True),
        ("cat\nbackground\n", False),
    ],
)
def test_background(table, text, background):
    found = table(text)
    assert found.background is background
    assert (found.names[0] == "background") is (background and "other" not in text)


def test_a_bundled_list():
    found = read_table("voc21")
    assert (len(found.names), found.names[0], found.background) == (21, "background", True)


@pytest.mark.parametrize(
    "text",
    [
        "name,r,g,b\nCar,64,0,128\nTruck_Bus,192,128,192\n",
        " name, r, g, b\nCar, 64, 0, 128\nTruck_Bus, 192, 128, 192\n",
        "class;red;green;blue\nCar;64;0;128\nTruck_Bus;192;128;192\n",
        "label\tR\tG\tB\nCar\t64\t0\t128\nTruck_Bus\t192\t128\t192\n",
        "64 0 128\t\tCar\n192 128 192\tTruck_Bus\n",
        "Car 64 0 128\nTruck_Bus 192 128 192\n",
        "# colours\n64,0,128,Car\n\n192,128,192,Truck_Bus\n",
    ],
)
def test_colours(table, text):
    found = table(text)
    assert found.names == ("Car", "Truck_Bus")
    assert found.queries == (("Car",), ("Truck Bus",))
    assert found.palette == [[64, 0, 128], [192, 128, 192]]
    assert found.told(found.values[0]) == "64,0,128"


def test_labels_with_gaps(table):
    found = table('id,name\n255,"polyp, growth"\n0,background\n')
    assert (found.names, found.values, found.coloured) == (("polyp", "background"), (255, 0), False)
    assert found.queries[0] == ("polyp", "growth")
    assert not found.is_plain


def test_words_that_look_like_a_header_are_words(table):
    assert table("id, identity card\nvalue, price\n").queries[0] == ("id", "identity card")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat\ndog\ncat\n", 'The word "cat" occurs twice'),
        ("name,r,g,b\nCar,1,2,3\ncar,1,2,4\n", "The class 'car' stands in line 2 of .* and in line 3 of"),
        ("name,r,g,b\nCar,1,2,3\nBus,1,2,3\n", "'Car' and 'Bus' have one colour"),
        ("name,label\nCar,1\nBus,1\n", "'Car' and 'Bus' have one label"),
        ("name,r,g,b\nCar,1,2\n", "3 columns in line 2 of .*, but its header has 4"),
        ("name,r,g,b\nCar,1,2,256\n", "three numbers, 0 .. 255, but is 1, 2, 256"),
        ("name,r,g,b\nCar,1,2,x\n", "three numbers, 0 .. 255, but is 1, 2, x"),
        ("name,label\nCar,-1\n", "The label in line 2 of .* must be a label, 0 .. 65535, but is '-1'"),
        ("name,r,g,b\n,1,2,3\n", "The class in line 2 of .* has no name"),
        ("name,r,g,b\nTruck_Bus,1,2,3\nTruckBus,1,2,4\n", "The word .* occurs twice"),
        ('name,r,g,b\n"car, a",1,2,3\n"car, b",1,2,4\n', "stands in line 2 of .* and in line 3 of"),
        ("# duplicates: allowed\ncar\ncar\n", "Two classes of .* begin with 'car'"),
        ("name,r,g,b\n", "has a header, but no class"),
        ("1 2 3 Car\n1 2 4 Bus\n1 2 Void\n", "The class in line 3 of .* must have a name and a colour"),
        ("", "is empty"),
    ],
)
def test_what_is_wrong_is_named(table, text, message):
    with pytest.raises(ValueError, match=message):
        table(text)


def test_no_class_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.txt does not exist"):
        read_table(str(tmp_path / "none.txt"))


def test_a_first_label_beside_a_table_would_not_act(table):
    with pytest.raises(ValueError, match="--first-label does not act"):
        table("name,label\nCar,3\n", first_label=1)


def test_ignored_classes_and_values(table):
    found = ignore(table("name,r,g,b\nVoid,0,0,0\nCar,1,2,3\nBus,1,2,4\n"), ["void", "9,9,9", "9,9,9"])
    assert found.names == ("Car", "Bus")
    assert found.ignored == (0, colour_code(9, 9, 9))
    assert [colour_of(value) for value in found.values] == [(1, 2, 3), (1, 2, 4)]
    plain = table("cat\ndog\nvoid\n")
    assert ignore(plain, ["void"]).is_plain
    assert not ignore(plain, ["void", "255"]).is_plain
    assert not ignore(plain, ["cat"]).is_plain


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["dgo"], "--ignore dgo is no class of the class file. Did you mean dog?"),
        (["0"], "--ignore 0 is the class 'cat': to leave that out, give its name; if labels begin at 1, add"),
        (["1"], "--ignore 1 is the class 'dog': to leave that out, give its name."),
        (["cat", "dog"], "--ignore dog: no class is left to evaluate."),
    ],
)
def test_what_cannot_be_ignored(table, given, message):
    with pytest.raises(ValueError, match=message):
        ignore(table("cat\ndog\n"), given)


@pytest.mark.parametrize(
    "queries",
    [
        (("cat",), ("dog", "puppy")),
        (("door, double door",), ("gate",)),
        (("a; b",), ("c", "d")),
        (("a, b; c",), ("d",)),
        (("cat", "pet"), ("dog", "pet")),
        (("ice, snow", "glacier"), ("rock",)),
    ],
)
def test_entries_are_read_back_as_they_were(queries):
    assert load_vocabulary(entries_of(queries)).classes == queries


def test_identifiers_in_words():
    names = ("SUVPickupTruck", "Column_Pole", "TrafficLight", "sky", "tv monitor")
    assert [*map(spoken, names)] == ["SUV Pickup Truck", "Column Pole", "Traffic Light", "sky", "tv monitor"]
