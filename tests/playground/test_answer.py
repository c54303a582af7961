"""What the page answers: tf.load's labels and tfovss demo's files, or one sentence."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import mmseg_tfovss as tf
from mmseg_tfovss.commands import demo
from mmseg_tfovss.playground.answer import Question, tinted
from mmseg_tfovss.playground.notes import notes_on_companions, notes_on_unknown, notes_on_words
from mmseg_tfovss.pocket.scenes import draw_validation
from tests.playground.loaded import load_small, small_playground

WORDS = "brick; donut, ring\nstarfish"
CLASSES = ["brick", "donut, ring", "starfish"]


@pytest.fixture(scope="module")
def playground():
    return small_playground()


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "scene.png"
    Image.fromarray(next(draw_validation()).image).resize((120, 90)).save(path)
    return path


@pytest.fixture
def question(image):
    return Question(str(image), WORDS, methods=["sclip", "naclip"])


def test_labels_are_those_of_load(playground, question, image, tmp_path):
    told = []
    answer = playground.answer(question, tmp_path, lambda done, what: told.append((done, what)))
    assert answer.problem is None
    assert told == [(0, "sclip (1 of 2)"), (0.5, "naclip (2 of 2)")]
    assert [part.method for part in answer.labelled] == ["sclip", "naclip"]
    for part in answer.labelled:
        expected = load_small(part.method)(image, CLASSES)
        assert np.array_equal(part.result.labels, expected.labels)
        assert part.result.classes == expected.classes == ("brick", "donut", "starfish")
        assert np.array_equal(np.array(Image.open(part.mask)), expected.labels)
    assert not np.array_equal(answer.labelled[0].result.labels, answer.labelled[1].result.labels)


def test_background_and_threshold_are_those_of_load(playground, question, image, tmp_path):
    asked = replace(question, background="grass; sand", threshold=0.9, methods=["naclip"])
    [part] = playground.answer(asked, tmp_path).labelled
    expected = load_small("naclip")(image, CLASSES, background=["grass", "sand"], threshold=0.9)
    assert np.array_equal(part.result.labels, expected.labels)
    assert part.result.classes == ("background", "brick", "donut", "starfish")
    [plain] = playground.answer(replace(question, methods=["naclip"]), tmp_path).labelled  # the same model, as it was
    assert np.array_equal(plain.result.labels, load_small("naclip")(image, CLASSES).labels)


def test_files_are_those_of_the_demo(image, tmp_path):
    for folder in ("page", "demo"):
        (tmp_path / folder).mkdir()
    playground = small_playground(load=lambda method: tf.load(method, pretrained="pocket", device="cpu"))
    question = Question(str(image), WORDS, methods=["sclip"])
    [part] = playground.answer(question, tmp_path / "page").labelled
    pocket = ["--device", "cpu", "--cfg-options", "model.backbone.pretrained=pocket"]
    words = WORDS.replace("\n", ";")
    demo.main([str(image), "sclip", "--classes", words, "--out-dir", str(tmp_path / "demo"), *pocket])
    assert (part.mask.name, part.overlay.name) == ("scene_sclip_mask.png", "scene_sclip_overlay.png")
    assert part.mask.read_bytes() == (tmp_path / "demo/scene_mask.png").read_bytes()
    assert part.overlay.read_bytes() == (tmp_path / "demo/scene_overlay.png").read_bytes()
    assert len(np.unique(part.result.labels)) > 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"image": None}, "Image: upload one, or pick an example."),
        ({"words": " "}, "Words: type at least one class, for example: cat; dog, puppy; grass."),
        ({"words": "cat; dog; Cat"}, 'The word "Cat" stands twice: remove one of the two.'),
        ({"background": "wall; brick"}, 'The word "brick" stands twice: remove one of the two.'),
        ({"background": "wall;; brick"}, 'Background words: the line "wall;; brick" has one ";" too many.'),
        ({"words": " , ;fish"}, "There is no word in entry 1 of the given list: give every class at least one."),
        ({"words": "cat\u200b; dog"}, "Entry 1 of the given list holds the invisible character U+200B"),
        ({"methods": []}, "Methods: choose at least one."),
        ({"methods": ["clip", "sclip", "naclip", "gem", "cass"]}, "Methods: choose at most 4; you have chosen 5."),
        ({"methods": ["corrclip"]}, "Methods: this page does not offer corrclip."),
        ({"threshold": 1.5}, "threshold must lie in [0, 1], but got 1.5."),
    ],
)
def test_a_mistake_is_one_sentence(playground, question, tmp_path, change, problem):
    answer = playground.answer(replace(question, **change), tmp_path)
    assert answer.problem is not None
    assert answer.problem.startswith(problem)
    assert "\n" not in answer.problem
    assert answer.labelled == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("write", "problem"),
    [
        (
            lambda path: Image.new("RGB", (4, 3)).save(path),
            "The image tiny.png of 3x4 pixels (height x width) is smaller",
        ),
        (
            lambda path: path.write_text("no picture"),
            "The image tiny.png is truncated or damaged, or in none of the formats that are read: JPEG, PNG, TIFF,",
        ),
        (lambda path: path.write_bytes(b""), "The image tiny.png is empty (0 bytes): replace the file."),
        (lambda path: None, "The image tiny.png does not exist."),
    ],
)
def test_a_bad_image_is_named_without_the_servers_folders(playground, question, tmp_path, write, problem):
    write(tmp_path / "tiny.png")
    answer = playground.answer(replace(question, image=str(tmp_path / "tiny.png")), tmp_path)
    assert answer.problem is not None
    assert answer.problem.startswith(problem)
    assert str(tmp_path) not in answer.problem


def test_after_a_mistake_the_next_question_is_answered(playground, question, tmp_path):
    assert playground.answer(replace(question, threshold=2.0), tmp_path).problem
    assert playground.answer(question, tmp_path).problem is None


def test_a_full_gpu_is_one_sentence_and_a_bug_is_none(question, tmp_path):
    class OutOfMemoryError(RuntimeError):
        """As torch's is called."""

    def fail(method):
        raise OutOfMemoryError("CUDA out of memory") if method == "sclip" else RuntimeError("a bug")

    playground = small_playground(load=fail)
    assert playground.answer(question, tmp_path).problem.startswith("The GPU is out of memory: ")
    with pytest.raises(RuntimeError, match="a bug"):
        playground.answer(replace(question, methods=["naclip"]), tmp_path)


def test_notes_are_said_with_the_overlays(playground, question, tmp_path):
    answer = playground.answer(replace(question, words="cat; brick", threshold=0.5, methods=["proxyclip"]), tmp_path)
    assert answer.notes == (
        *notes_on_words(["cat", "brick"], None, 0.5),
        *notes_on_unknown(["cat"]),
        *notes_on_companions("proxyclip", ["CLIPImageEncoder", "DINO"]),
    )
    assert len(answer.notes) == 3


def test_missing_letters_are_told_in_the_page_alone_if_they_are_drawn(
    playground, question, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("mmseg_tfovss.pictures.lettering._font_file", lambda character: None)
    for words in ("猫", "brick; donut; 猫", "brick; donut"):
        answer = playground.answer(replace(question, words=words, methods=["naclip"]), tmp_path)
        [part] = answer.labelled
        drawn = "猫" in {part.result.classes[index] for index in np.unique(part.result.labels)}
        assert drawn or words != "猫"
        assert any("in the place of 猫" in note for note in answer.notes) == drawn
    assert "no font" not in caplog.text


def test_a_large_image_is_shrunk_and_said_so(question, tmp_path):
    answer = small_playground(longest=60).answer(question, tmp_path)
    assert answer.notes[0].startswith("The image of 120 x 90 pixels was shrunk to 60 x 45")
    assert Image.open(answer.labelled[0].mask).size == (60, 45)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"scene_{method}_{what}.png" for method in ("sclip", "naclip") for what in ("mask", "overlay")
    }


def test_the_page_shows_the_image_in_its_classes_colours(playground, question, tmp_path):
    part = playground.answer(question, tmp_path).labelled[0]
    assert np.array_equal(tinted(part, 1024), np.array(Image.open(part.overlay))[:90, :120])
    assert tinted(part, 40).shape == (30, 40, 3)
