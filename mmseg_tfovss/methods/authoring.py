"""Sentences for those who write a method: what it forgets or gives wrongly is said where it happens."""

import inspect
from abc import ABCMeta
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mmseg_tfovss.deferred import checked_at_the_end, refuse_if
from mmseg_tfovss.methods.stages import LOGITS, Maps, Refined, Scene
from mmseg_tfovss.ops.canvas import Canvas, Size
from mmseg_tfovss.ops.labels import NotNumbersError

if TYPE_CHECKING:
    from mmseg_tfovss.methods.base import OpenVocabSegmentor


class Checked(ABCMeta):
    """Makes methods whose constructors are looked at: have all options arrived, and is every network declared?"""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Make a method.

        Raises:
            ValueError: it keeps options from the base class, or holds tensors that no declared network owns.
        """
        _check_required(cls, args, kwargs)
        try:
            method = super().__call__(*args, **kwargs)
        except TypeError as error:
            about = str(error)
            kept = "__init__() missing" in about and "'backbone'" in about and "backbone" in kwargs
            if kept or ("__init__() got an unexpected keyword argument 'backbone'" in about):
                raise ValueError(_keeps_back(cls, "its options")) from error
            raise
        _check_options_arrived(method, kwargs)
        _check_networks_declared(method)
        return method


def _check_required(kind: type, args: tuple[Any, ...], given: Mapping[str, Any]) -> None:
    """Say which option is missing that a method cannot be without."""
    if args:
        return
    _, *parameters = inspect.signature(kind.__init__).parameters.values()  # type: ignore[misc]
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    missing = [p.name for p in named if p.default is p.empty and p.name not in given]
    if missing:
        raise ValueError(f"{kind.__name__} needs the option model.{missing[0]}, which has no default.")


def _check_options_arrived(method: "OpenVocabSegmentor", given: Mapping[str, Any]) -> None:
    common = method.__dict__.get("common")
    if common is None:
        raise ValueError(_keeps_back(type(method), "its options"))
    for name in common.keys() & given.keys():
        left_to_the_method = given[name] is None and name in ("residual", "feed_forward")
        if not left_to_the_method and _plain(given[name]) != _plain(common[name]):
            raise ValueError(_keeps_back(type(method), f"model.{name}={given[name]!r}"))


def _keeps_back(kind: type, what: str) -> str:
    return (
        f"The constructor of {kind.__name__} does not hand {what} on: it must take **kwargs and call"
        " super().__init__(**kwargs)."
    )


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _check_networks_declared(method: "OpenVocabSegmentor") -> None:
    """No tensors without an owner: they would be in no result, no count and no hash."""
    owners = [*method.networks().values(), method.decode_head, method.data_preprocessor]
    owned = {id(tensor) for owner in owners for _, tensor in _tensors(owner)}
    hidden = [(name, part) for name, value in vars(method).items() for part in _modules_in(value)]
    held = [*_tensors(method), *((f"{name}.{key}", t) for name, part in hidden for key, t in _tensors(part))]
    for name, tensor in held:
        if id(tensor) not in owned:
            raise ValueError(
                f"{type(method).__name__} holds the tensor {name!r}, which belongs to no declared network, so no"
                " result would record it: make its network an option, dict(type=...), and build it with"
                " self.companion('<option>', settings)."
            )


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _modules_in(value: object) -> list[nn.Module]:
    """Modules in a container, which torch does not see."""
    parts = list(value.values()) if isinstance(value, dict) else value
    return [part for part in parts if isinstance(part, nn.Module)] if isinstance(parts, list | tuple) else []


def check_attended(method: "OpenVocabSegmentor", attended: Tensor, tokens: Tensor) -> None:
    """Raise ValueError unless ``attend`` gave one output for every token."""
    if attended.shape != tokens.shape:
        raise ValueError(
            f"{type(method).__name__}.attend must give one output for every token, class token first:"
            f" {tuple(tokens.shape)}, but gave {tuple(attended.shape)}. A method without a class token overrides"
            " last_block or extract_feat."
        )


def check_seen(method: "OpenVocabSegmentor", seen: object, images: int) -> None:
    """Raise ValueError unless ``look`` gave something by name, of each image."""
    kind = type(method).__name__
    if not isinstance(seen, dict):
        raise ValueError(
            f"{kind}.look must give a dictionary of what is seen, by name, but gave {type(seen).__name__}."
        )
    for name, values in seen.items():
        if isinstance(values, Mapping) or not hasattr(values, "__len__") or len(values) != images:
            raise ValueError(f"{kind}.look must give {name!r} of each of the {images} images, one after the other.")


def check_maps(method: "OpenVocabSegmentor", maps: Maps, windows: int) -> None:
    """Raise ValueError unless ``encode`` gave maps of all windows, and logits of all queries."""
    kind, queries = type(method).__name__, method.decode_head.out_channels
    if not isinstance(maps, dict):
        raise ValueError(f"{kind}.encode must give maps by name, as in {{'{LOGITS}': ...}}, but gave {type(maps)}.")
    for name, values in maps.items():
        if not isinstance(values, Tensor):
            raise ValueError(f"{kind}.encode must give tensors, but {name!r} is a {type(values).__name__}.")
        if values.ndim != 4 or len(values) != windows:
            raise ValueError(
                f"{kind}.encode must give maps (n, C, h, w) of {windows} windows, but {name!r} has the shape"
                f" {tuple(values.shape)}."
            )
    if LOGITS in maps and maps[LOGITS].shape[1] != queries:
        raise ValueError(
            f"{kind}.encode gave logits of {maps[LOGITS].shape[1]} queries, but the vocabulary has {queries}: synonyms"
            " have logits of their own until the labels."
        )


def check_has_logits(method: "OpenVocabSegmentor", canvases: Mapping[str, Canvas]) -> None:
    """Raise ValueError unless there are logits to go on with."""
    if LOGITS not in canvases:
        raise ValueError(
            f"{type(method).__name__} gives the maps {sorted(canvases)} and no {LOGITS!r}: encode must give them, or"
            " refine make them of the others."
        )


def check_refined(method: "OpenVocabSegmentor", refined: object, size: Size) -> None:
    """Raise ValueError unless ``refine`` gave logits of all queries, or of those that it names, on the image."""
    head, kind, what = method.decode_head, type(method).__name__, "classes" if method.of_classes else "queries"
    queries = head.num_classes if method.of_classes else head.out_channels
    if not isinstance(refined, Refined) or not isinstance(refined.logits, Canvas):
        raise ValueError(
            f"{kind}.refine must give Refined(canvas), as in Refined(PixelCanvas(logits)) of a tensor (Q, H, W), but"
            f" gave {type(refined).__name__}."
        )
    expected = queries if refined.queries is None else len(refined.queries)
    if tuple(refined.logits.size) != tuple(size) or refined.logits.channels != expected:
        raise ValueError(
            f"{kind}.refine must give logits of {expected} {what} on {size[0]}x{size[1]} pixels, but gave"
            f" {refined.logits.channels} on {refined.logits.size[0]}x{refined.logits.size[1]}."
        )
    _check_rest(kind, refined, queries, size)


def _check_rest(kind: str, refined: Refined, queries: int, size: Size) -> None:
    """The other fields of what ``refine`` gives."""
    chosen, regions, confidence = refined.queries, refined.regions, refined.confidence
    if chosen is not None and len(chosen):
        unknown = f"{kind}.refine keeps queries that are not among the vocabulary's {queries}."
        refuse_if((chosen.min() < 0) | (chosen.max() >= queries), partial(ValueError, unknown))
    if regions is not None and tuple(regions.shape) != tuple(size):
        raise ValueError(
            f"{kind}.refine must give regions of {size[0]}x{size[1]} pixels, but gave {tuple(regions.shape)}."
        )
    if confidence is not None and (tuple(confidence.size) != tuple(size) or confidence.channels != queries):
        raise ValueError(f"{kind}.refine must give the confidence of {queries} queries on {size[0]}x{size[1]} pixels.")


def check_not_tiny(meta: Mapping[str, Any], patch_size: int) -> None:
    """Raise ValueError for an original image smaller than a patch."""
    height, width = meta["ori_shape"][:2]
    if min(height, width) < patch_size:
        raise ValueError(
            f"The image {meta.get('img_path', '(no path)')} of {height}x{width} pixels (height x width) is smaller than"
            f" one {patch_size}x{patch_size} patch: nothing can be told apart in it."
        )


def check_finite(method: "OpenVocabSegmentor", maps: Sequence[Maps], scenes: Sequence[Scene]) -> None:
    """Refuse maps that are not numbers, and find out whose fault that is; see :mod:`mmseg_tfovss.deferred`."""
    named = [(scene, name, values) for scene, own in zip(scenes, maps, strict=True) for name, values in own.items()]
    if not named:
        return
    finite = torch.stack([values.isfinite().all() for _, _, values in named])
    places = [(scene, name) for scene, name, _ in named]
    refuse_if(~finite.all(), partial(_not_finite, method, places, finite))


def _not_finite(method: "OpenVocabSegmentor", places: Sequence[tuple[Scene, str]], finite: Tensor) -> ValueError:
    """What is wrong, of maps of scenes, with the first one that is not finite."""
    scene, name = places[int(finite.int().argmin())]
    reason = (
        "the weights are damaged, or too large for model.precision=fp16 (try fp32)"
        if not _tower_is_finite(method, scene)
        else f"{type(method).__name__} itself makes them of CLIP's tokens, which are numbers"
    )
    return ValueError(
        f"The {name} of the image {scene.path or '(no path)'} are not numbers (NaN or infinite): {reason}."
    )


def _tower_is_finite(method: "OpenVocabSegmentor", scene: Scene) -> bool:
    """Whether CLIP as it was trained gives numbers for an image's first window, and for the words."""
    tower = method.backbone
    images = method.window_plan(scene.resized).cut(scene.image)[0][None]
    tokens = tower.embed(images)
    for block in tower.blocks:
        tokens = block(tokens)
    return bool(tower.project(tokens).isfinite().all() and method.decode_head.text_features.isfinite().all())


def named_nan(method: nn.Module, scene: Scene) -> AbstractContextManager[None]:
    """Say whose logits are not numbers after refinement."""

    def change(error: Exception) -> Exception:
        if not isinstance(error, NotNumbersError):
            return error
        return ValueError(
            f"{type(method).__name__}.refine has made logits of the image {scene.path or '(no path)'} that are not"
            " numbers (NaN): their pixels would have no class."
        )

    return checked_at_the_end(change)


@contextmanager
def noted(scene: Scene) -> Iterator[None]:
    """Add to an error's traceback which image was being labelled; what is told in a sentence says it itself."""
    try:
        yield
    except ValueError:
        raise
    except Exception as error:
        error.add_note(f"The image was {scene.path or 'one without a path'}.")
        raise
