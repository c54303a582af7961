"""What somebody is told beside the overlays."""

from mmseg_tfovss.playground.notes import notes_on_companions, notes_on_letters, notes_on_unknown, notes_on_words


def test_one_class_takes_every_pixel():
    [note] = notes_on_words(["brick, wall"], None, 0.0)
    assert note == 'With one class, every pixel is "brick": type one class a line, or separate classes by ";".'
    assert list(notes_on_words(["brick"], ["sky"], 0.0)) == list(notes_on_words(["brick", "sky"], None, 0.0)) == []


def test_a_threshold_makes_the_first_class_the_background():
    [note] = notes_on_words(["brick, wall", "sky"], None, 0.25)
    assert note.startswith('The first class, "brick", is the background: ')
    assert note.endswith("below 0.25.")
    assert list(notes_on_words(["brick", "sky"], ["wood"], 0.25)) == []


def test_words_that_the_pocket_clip_does_not_know_are_named():
    [note] = notes_on_unknown(["brick, cat", "puma"])
    assert note == "The pocket CLIP was not trained on cat, puma: pixels with such labels mean nothing."
    assert list(notes_on_unknown(["brick", "apple"])) == []


def test_networks_of_random_numbers_are_named():
    [note] = notes_on_companions("trident", ["CLIPImageEncoder", "DINO", "SAM"])
    assert note == "trident has a DINO and a SAM of random numbers beside the pocket CLIP."
    assert list(notes_on_companions("dslo", ["CLIPImageEncoder", "StableDiffusion"])) == []


def test_characters_that_no_font_has_are_named(monkeypatch):
    monkeypatch.setattr("mmseg_tfovss.pictures.lettering._font_file", lambda character: None)
    [note] = notes_on_letters(["猫", "cat", "犬 猫"])
    assert note.startswith("The legends in the overlay files have boxes in the place of 犬, 猫: no font ")
    assert list(notes_on_letters(["cat", "dog"])) == []
