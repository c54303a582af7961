"""The Python interface: load a method once, segment any images with any words.

>>> import mmseg_tfovss as tf
>>> from mmseg_tfovss.pocket.scenes import draw_validation
>>> image = next(draw_validation()).image  # (256, 256, 3) uint8; a path or a PIL image will do
>>> segment = tf.load("naclip", pretrained="pocket")  # the small CLIP of this package: nothing is downloaded
>>> result = segment(image, ["apple", "wood, plank", "sky"])
>>> result.labels.shape, result.classes, result.queries
((256, 256), ('apple', 'wood', 'sky'), ('apple', 'wood', 'plank', 'sky'))
>>> segment(image, ["donut", "grass"]).classes  # other words, the same model
('donut', 'grass')
>>> picture = result.overlay()  # a PIL image with a legend
"""

import copy
import inspect
import os
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from PIL import Image

from mmseg_tfovss.catalogue import ARCH, POCKET, PRETRAINED, MethodFacts, list_methods
from mmseg_tfovss.config import build, load_config
from mmseg_tfovss.datasets.given import Picture, pixels_of
from mmseg_tfovss.encoders.absent import AbsentWeightsError
from mmseg_tfovss.encoders.clip import CLIPImageEncoder
from mmseg_tfovss.engine.single import Segmentation, build_method, segment_images
from mmseg_tfovss.engine.words import check_classes, put_words
from mmseg_tfovss.heads.text_head import TextHead
from mmseg_tfovss.pictures.overlay import draw_overlay, named_colours
from mmseg_tfovss.pocket.files import ensure_pocket_file
from mmseg_tfovss.registry import MODELS
from mmseg_tfovss.vocabulary import available_vocabularies

__all__ = ["MethodFacts", "Segmented", "Segmenter", "list_methods", "list_vocabularies", "load"]

Words = Sequence[str] | str
_BACKBONE = "ViT-B-16"  # of methods; a config says its own
_HEAD = "model.decode_head"
_TOP = ("protocol",)  # options that are none of the model
_MOST_NAMES = 5  # of classes in a result's repr
_MOST_LISTS = 32  # of words, whose text features are kept


@dataclass(frozen=True, repr=False)
class Segmented:
    """A segmented image.

    Attributes:
        image: (H, W, 3) uint8 RGB: what is labelled.
        labels: (H, W) int64, an index into ``classes`` at every pixel of the original image.
        classes: one name per class: its first word; "background" for a class 0 that was given as ``background``, or
            that is one in a bundled list.
        queries: all words, class after class.
        scores: (Q, H, W) float32, with ``scores=True``: cosine of every pixel and query, before logit scale and
            softmax; -inf for a query that the method rejects. (C, H, W) where a method merges the queries of a class
            before. These are the ``seg_logits`` of ``tfovss demo --save-logits``.
        method: name of the model's class.
    """

    image: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    queries: tuple[str, ...]
    scores: np.ndarray | None = None
    method: str = ""

    def __repr__(self) -> str:
        height, width = self.labels.shape
        by = f" by {self.method}" if self.method else ""
        return f"<Segmented{by}: {width} x {height} pixels, {len(self.classes)} classes ({_shortened(self.classes)})>"

    def overlay(self) -> Image.Image:
        """The image, coloured by class, with a legend of the classes that occur."""
        return draw_overlay(self.image, self.labels, self.classes, named_colours(self.classes))


class Segmenter:
    """A method with its networks in memory; :func:`load` makes one.

    Attributes:
        model: the method, an MMSegmentation ``EncoderDecoder``.
        config: all its settings.
    """

    def __init__(
        self,
        config: Config,
        device: str | torch.device,
        *,
        options: Mapping[str, Any] | None = None,
        background: Words | None = None,
        threshold: float | None = None,
    ) -> None:
        self._background, self._threshold = background, _checked(threshold)
        self.config, self.model = config, build_method(config, device)
        self._options = dict(options or {})
        self._heads: OrderedDict[str, TextHead] = OrderedDict()
        self._told: set[str] = set()
        for network in self.model.networks().values():
            if isinstance(network, CLIPImageEncoder):
                network.keeps_text_encoder = True

    def __repr__(self) -> str:
        return f"<{type(self.model).__name__} on {self.model.backbone.name}, {self.config.protocol} protocol>"

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        found: torch.device = self.model.decode_head.query_class.device
        return found

    @overload
    def __call__(
        self,
        image: Picture,
        words: Words | None = None,
        *,
        background: Words | None = None,
        threshold: float | None = None,
        scores: bool = False,
        batch_size: int = 8,
    ) -> Segmented: ...

    @overload
    def __call__(
        self,
        image: list[Picture] | tuple[Picture, ...],
        words: Words | None = None,
        *,
        background: Words | None = None,
        threshold: float | None = None,
        scores: bool = False,
        batch_size: int = 8,
    ) -> list[Segmented]: ...

    def __call__(
        self,
        image: Picture | list[Picture] | tuple[Picture, ...],
        words: Words | None = None,
        *,
        background: Words | None = None,
        threshold: float | None = None,
        scores: bool = False,
        batch_size: int = 8,
    ) -> Segmented | list[Segmented]:
        """Segment one image or several.

        New words need no new model: only their text features are computed, once.

        Args:
            image: a path, a PIL image, an array (H, W, 3) uint8 in RGB order, or a list of these.
            words: one text per class, synonyms separated by commas (``["cat", "dog, puppy"]``); or the name of a
                bundled list (:func:`list_vocabularies`) or a file with one class a line. ``None``: the config's list.
            background: words of a class that is put in front as class 0: ``["sky, wall", "floor"]``, or the name of a
                bundled list (``"sclip"``). ``None``: that of :func:`load`, or none.
            threshold: pixels whose best class has a lower probability get class 0, which is the background then: the
                first of ``words`` unless ``background`` is given. In [0, 1]; ``None``: that of :func:`load`, or the
                config's.
            scores: keep the scores of all queries, which takes queries x pixels floats.
            batch_size: of the images of a list, as many at a time go through the network.

        Returns:
            The result; a list of results for a list of images.

        Raises:
            FileNotFoundError: no such image or list of words.
            ValueError: an image or a word that cannot be used, or a threshold out of range.
        """
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number, at least 1, but got {batch_size!r}.")
        several = isinstance(image, list | tuple)
        images: Sequence[Picture] = image if isinstance(image, list | tuple) else [image]
        self._use_words(
            words,
            self._background if background is None else background,
            self._threshold if threshold is None else _checked(threshold),
        )
        found = list(self._segment(images, several, scores, batch_size))
        return found if several else found[0]

    def _segment(self, images: Sequence[Picture], several: bool, scores: bool, size: int) -> Iterator[Segmented]:
        names = [_name(image, number if several else None) for number, image in enumerate(images)]
        for start in range(0, len(images), size):
            part = slice(start, start + size)
            pixels = [_read(image, name) for image, name in zip(images[part], names[part], strict=True)]
            known = [_path(image, number if several else None) for number, image in enumerate(images[part], start)]
            for found in segment_images(self.model, pixels, known, keep_logits=scores):
                yield _result(found, type(self.model).__name__)

    def _use_words(self, words: Words | None, background: Words | None, threshold: float | None) -> None:
        """Give the model the head for these words, as tfovss demo makes it."""
        if words is not None and not isinstance(words, str):
            words = check_classes(words, "words")
        key = repr((words, background))
        head = self._heads.get(key)
        if head is None:
            head = self._new_head(words, background, threshold)
            self._heads[key] = head
        self._heads.move_to_end(key)
        if len(self._heads) > _MOST_LISTS:
            self._heads.popitem(last=False)
        usual = self.config.model.decode_head.get("prob_threshold", 0.0)
        head.prob_threshold = usual if threshold is None else threshold
        if head is not self.model.decode_head:
            self.model.use_head(head)

    def _new_head(self, words: Words | None, background: Words | None, threshold: float | None) -> TextHead:
        config = Config({"run_name": self.config.run_name, "model": {"decode_head": {}}})
        settings = config.model.decode_head
        settings.update(copy.deepcopy(self.config.model.decode_head))
        # Words of a call come after those of ``load``.
        taken = put_words([config], self._options, words)
        if background is not None:
            settings.background = background
        self._tell(taken.lines if background is None and threshold is None else [])
        head: TextHead = build(settings.to_dict(), MODELS, _HEAD)
        return head.to(self.device)

    def _tell(self, lines: Sequence[str]) -> None:
        """Warn, once, of a background or a threshold that nobody has asked for."""
        for line in lines:
            if line.startswith("note: ") and line not in self._told:
                self._told.add(line)
                warnings.warn(line.removeprefix("note: "), stacklevel=5)


def load(
    method_or_config: str | os.PathLike[str],
    backbone: str | None = None,
    pretrained: str | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
    *,
    background: Words | None = None,
    threshold: float | None = None,
    **options: Any,  # noqa: ANN401
) -> Segmenter:
    """Load a method.

    Args:
        method_or_config: a method (:func:`list_methods`, in any spelling), which gets the settings of the unified
            protocol: short side 336, windows of 224 pixels every 112 where the method has windows, logit scale 40, no
            background; or a config, by its path or its name (``"sclip_vit-b16_voc21"``), as it stands.
        backbone: CLIP's architecture by open_clip's name, or ``auto`` for a local file whose tensors tell it. ``None``:
            ViT-B-16 for a method, and the config's for a config; a local file of another architecture needs ``auto``
            or its name.
        pretrained: an open_clip tag, a local file, or ``pocket``: the small CLIP of this package. ``None``: the
            config's, which is ``openai`` for nearly all.
        device: ``None``: the GPU if there is one.
        background: for calls that give none; see :meth:`Segmenter.__call__`.
        threshold: likewise.
        **options: settings that differ: the model's (``short_side=448``, ``precision="bf16"``), the text head's
            (``logit_scale=100``, ``templates="photo"``, ``vocabulary="ade20k"``), ``protocol``, or dotted names as on
            the command line (``**{"model.test_cfg.stride": 56}``).

    Returns:
        A function of images and words.

    Raises:
        FileNotFoundError: no such config, weights or list of words.
        ValueError: no such method, option or device, or settings that cannot be used.

    Example:
        >>> import mmseg_tfovss as tf
        >>> tf.load("SCLIP", pretrained="pocket")
        <SCLIP on ViT-128x12-8/pocket, unified protocol>
        >>> tf.load("slcip")
        Traceback (most recent call last):
        ...
        ValueError: 'slcip' is neither a method nor a config. Did you mean sclip? Methods: ...
    """
    weights = None if pretrained is None else os.fspath(pretrained)
    dotted = _weights(backbone, weights) | _dotted(options)
    config = load_config(os.fspath(method_or_config), dotted)
    try:
        return Segmenter(config, device or get_device(), options=dotted, background=background, threshold=threshold)
    except AbsentWeightsError as error:  # the clients' own errors, five in a row, say no more
        raise FileNotFoundError(error.in_python) from None


def list_vocabularies() -> list[str]:
    """Names of the bundled lists of words.

    Example:
        >>> import mmseg_tfovss as tf
        >>> "ade20k" in tf.list_vocabularies()
        True
    """
    return available_vocabularies()


def _weights(backbone: str | None, pretrained: str | None) -> dict[str, Any]:
    """Options for the image tower; the pocket CLIP's architecture is that of its file."""
    if pretrained == POCKET:
        if backbone not in (None, "auto", _BACKBONE):
            raise ValueError(f"backbone={backbone!r} does not fit pretrained='pocket': leave it out.")
        backbone = "auto"
    found = {ARCH: backbone, PRETRAINED: pretrained}
    return {name: value for name, value in found.items() if value is not None}


def _dotted(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options under their full names."""
    of_head = set(inspect.signature(TextHead).parameters)
    found = {}
    for name, value in options.items():
        if "." in name or name in _TOP:
            found[name] = value
        else:
            found[f"{_HEAD}.{name}" if name in of_head else f"model.{name}"] = value
    return found


def _name(image: Picture, number: int | None) -> str:
    """What an image is called in messages."""
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    return "image" if number is None else f"image {number} of the list"


def _path(image: Picture, number: int | None) -> str:
    """What stands for an image's path in messages of the form ``The image PATH of 8x8 pixels``."""
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    return "(in memory)" if number is None else f"(number {number} of the list)"


def _checked(threshold: float | None) -> float | None:
    """A threshold, refused under the name that it has here."""
    number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
    if threshold is not None and not (number and 0 <= threshold <= 1):
        raise ValueError(f"threshold must lie in [0, 1], but got {threshold!r}.")
    return threshold


def _read(image: Picture, name: str) -> np.ndarray:
    if isinstance(image, str | os.PathLike):
        ensure_pocket_file(Path(image))
    return pixels_of(image, name)


def _result(found: Segmentation, method: str) -> Segmented:
    return Segmented(found.image, found.pred, found.names, found.queries, found.seg_logits, method)


def _shortened(names: Sequence[str]) -> str:
    return ", ".join([*names[:_MOST_NAMES], *(["..."] if len(names) > _MOST_NAMES else [])])
