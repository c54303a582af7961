"""Several methods on any images."""

import numpy as np
import pytest
from PIL import Image

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.words import take_words
from mmseg_tfovss.pictures import compare
from mmseg_tfovss.pictures.method_grid import draw_method_grid
from mmseg_tfovss.pictures.overlay import named_colours
from mmseg_tfovss.pocket import PocketAllDataset
from tests.datasets.test_files import huge_png
from tests.parity.cases import FOLDER

CONFIGS = FOLDER.parents[1] / "configs"
CHINA = FOLDER / "images/china.png"


def config(method, weights, dataset="pocket_all", **options):
    settings = {
        "model.backbone.pretrained": str(weights),
        "model.backbone.arch": "auto",
        "model.decode_head.templates": "photo",
        "short_side": 64,
        **options,
    }
    return load_config(CONFIGS / method / f"{method}_vit-pocket_{dataset}.py", settings)


def draw(images, configs, **options):
    names = compare.shared_names(configs)
    return compare.draw_comparison(images, configs, "cpu", names, compare.shared_colours(configs, names), **options)


def save_labels(path, labels):
    Image.fromarray(labels.astype(np.uint8)).save(path)
    return path


@pytest.fixture
def image(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (70, 100, 3), np.uint8)).save(tmp_path / "image.png")
    return tmp_path / "image.png"


def test_one_column_per_method_in_one_set_of_colours(mini_clip, image):
    configs = [config(method, mini_clip) for method in ("clip", "clip", "sclip")]
    truth = np.full((70, 100), 255)
    picture = np.array(draw([image], configs, truths=[truth]))
    with Image.open(image) as loaded:
        original = np.array(loaded)
    assert (picture[22:92, 6:106] == original).all()
    assert (picture[22:92, 112:212] == original).all()  # an annotation without any class
    same = picture[22:92, 218:318]
    assert not (same == original).all()
    lefts = [left for left in range(219, picture.shape[1] - 100) if (picture[22:92, left : left + 100] == same).all()]
    assert len(lefts) == 1  # the second column is of the same config: the same labels, the same colours


def test_large_pictures_are_shrunk(mini_clip):
    configs = [config("clip", mini_clip)]
    picture = draw([CHINA], configs, cell=50)
    with Image.open(CHINA) as image:
        width, height = image.size
    assert width > height > 50
    cells = np.array(picture)[22 : 22 + round(50 * height / width)]
    assert picture.width == 6 + 50 + 6 + 50 + 6
    assert (cells[:, 56:62] == 255).all()
    assert not (cells[:, 6:56] == 255).all(axis=(1, 2)).any()


def test_titles_are_methods_or_configs_where_a_method_occurs_twice(mini_clip):
    configs = [config("clip", mini_clip), config("sclip", mini_clip), config("clip", mini_clip)]
    assert compare._titles(configs) == ["clip_vit-pocket_pocket_all", "SCLIP", "clip_vit-pocket_pocket_all"]


def test_classes_must_be_shared(mini_clip):
    every, things = (config("clip", mini_clip, dataset) for dataset in ("pocket_all", "pocket_thing"))
    with pytest.raises(ValueError, match=r"14 classes of pocket_all \(apple, .*9 classes of pocket_thing .*--classes"):
        compare.shared_names([every, things])
    assert compare.shared_names([things])[:2] == ("background", "apple")
    take_words([every, things], {}, "sky, cloud; cat")
    assert compare.shared_names([every, things]) == compare.shared_names([things]) == ("sky", "cat")


def test_one_dataset_in_two_orders_is_refused(mini_clip):
    swapped = ["banana", "apple", *PocketAllDataset.METAINFO["classes"][2:]]
    usual, other = (
        config("clip", mini_clip, **{"model.decode_head.vocabulary": words}) for words in ("pocket_all", swapped)
    )
    with pytest.raises(
        ValueError, match=r"class 0 of the dataset is 'apple', but entry 1 of the given list is 'banana'"
    ):
        compare.shared_names([usual, other])
    assert compare.shared_names([other, other])[0] == "banana"
    for ask in (lambda: compare.find_truths([CHINA], other), lambda: draw_method_grid([other], [0], "cpu")):
        with pytest.raises(ValueError, match="not in the order of the dataset pocket_all"):
            ask()
    other.force_vocabulary = True
    compare.shared_names([usual, other])


def test_an_annotation_needs_the_datasets_classes(mini_clip, words_file):
    own = config("clip", mini_clip, **{"model.decode_head.vocabulary": str(words_file)})
    with pytest.raises(ValueError, match="has 4 classes, but the dataset pocket_all has 14"):
        compare.find_truths([CHINA], own)


def test_one_dataset_may_be_said_in_different_words(mini_clip, words_file):
    own = config("clip", mini_clip, **{"model.decode_head.vocabulary": str(words_file)})
    other = config("sclip", mini_clip, **{"model.decode_head.vocabulary": ["a", "b", "c", "d"]})
    assert compare.shared_names([own, other]) == ("sky", "cat", "cup", "flower")
    with pytest.raises(ValueError, match="different classes"):
        compare.shared_names([own, config("sclip", mini_clip)])


def test_colours_are_the_shared_datasets_own(mini_clip):
    every, things = (config("clip", mini_clip, dataset) for dataset in ("pocket_all", "pocket_thing"))
    names = compare.shared_names([every, every])
    own = compare.shared_colours([every, every], names)
    assert own.tolist() == PocketAllDataset.METAINFO["palette"]
    words = tuple(f"cat {number}" for number in range(len(names)))  # as many as the dataset has classes, but others
    take_words([every, things], {}, ";".join(words))
    assert np.array_equal(compare.shared_colours([every], words, given=True), named_colours(words))
    assert np.array_equal(compare.shared_colours([every, things], words), named_colours(words))
    every.pop("test_dataloader")
    assert np.array_equal(compare.shared_colours([every], words), named_colours(words))


def test_annotation_files_are_checked(image, tmp_path):
    labels = np.zeros((70, 100))
    labels[0, :3] = 1, 255, 0
    good = save_labels(tmp_path / "good.png", labels)
    [truth] = compare.read_truths([good], [image], 2)
    assert truth[0, :3].tolist() == [1, 255, 0]
    with pytest.raises(ValueError, match="one file per image, but got 2 for 1 image"):
        compare.read_truths([good, good], [image], 2)
    with pytest.raises(ValueError, match=r"holds the label 1, but the classes are 0 .. 0;.*auto"):
        compare.read_truths([good], [image], 1)
    with pytest.raises(ValueError, match=r"pixels, but its image .* is"):
        compare.read_truths([save_labels(tmp_path / "small.png", labels[1:])], [image], 2)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        compare.read_truths([tmp_path / "none.png"], [image], 2)
    Image.new("L", (100, 70)).save(tmp_path / "lossy.png", "JPEG")
    with pytest.raises(ValueError, match=r"lossy\.png is in the format JPEG"):
        compare.read_truths([tmp_path / "lossy.png"], [image], 2)
    (tmp_path / "huge.png").write_bytes(huge_png(40_000))
    with pytest.raises(ValueError, match=r"huge\.png has 1600000000 pixels"):
        compare.read_truths([tmp_path / "huge.png"], [image], 2)


def test_annotations_of_a_dataset_are_changed_as_for_the_evaluation(tmp_path):
    """ADE20K's 0 is no class, and 1 is class 0."""
    folders = [tmp_path / kind / "validation" for kind in ("images", "annotations")]
    for folder in folders:
        folder.mkdir(parents=True)
    Image.new("RGB", (3, 2)).save(folders[0] / "a.jpg")
    save_labels(folders[1] / "a.png", np.array([[0, 1, 150], [1, 1, 2]]))
    ade = load_config(CONFIGS / "sclip/sclip_vit-b16_ade20k.py", {"test_dataloader.dataset.data_root": str(tmp_path)})
    [truth] = compare.find_truths([folders[0] / "a.jpg"], ade)
    assert truth.tolist() == [[255, 0, 149], [0, 0, 1]]
    Image.new("RGB", (3, 2)).save(tmp_path / "b.jpg")
    with pytest.raises(ValueError, match=r"b\.jpg is not among the images of ade20k \(1\)"):
        compare.find_truths([tmp_path / "b.jpg"], ade)
    missing = load_config(CONFIGS / "sclip/sclip_vit-b16_voc21.py")
    with pytest.raises(
        FileNotFoundError, match="data/VOCdevkit/VOC2012 of the dataset voc21 does not exist: prepare it"
    ):
        compare.find_truths([tmp_path / "b.jpg"], missing)
    missing.pop("test_dataloader")
    with pytest.raises(ValueError, match="has no dataset; name annotation files"):
        compare.find_truths([tmp_path / "b.jpg"], missing)
