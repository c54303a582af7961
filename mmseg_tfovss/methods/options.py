"""Checks of the options that every method has."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

from mmseg_tfovss.checks import check_option, is_number
from mmseg_tfovss.encoders.clip import PRECISIONS
from mmseg_tfovss.encoders.image_size import check_image_size
from mmseg_tfovss.ops.canvas import Size
from mmseg_tfovss.ops.windows import UPSAMPLINGS

_TEST_CFG = {"mode", "crop_size", "stride"}


def check_choice(name: str, value: object, valid: Collection[object]) -> None:
    """Raise ValueError unless ``model.<name>`` is one of the valid values."""
    check_option(f"model.{name}", value, valid)


def read_own(
    option: str, choice: object, own: Mapping[Any, Mapping[str, Any]], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The options that only one choice has, with its defaults for those that are None.

    Args:
        option: e.g. ``refocus``.
        choice: its value.
        own: of each choice, the names and defaults of its own options.
        given: the own options of all choices by name; None where they are left out.

    Raises:
        ValueError: an unknown choice, or an option of another one.
    """
    check_choice(option, choice, own)
    defaults = own[choice]
    for name, value in given.items():
        if value is not None and name not in defaults:
            raise ValueError(f"model.{name} has no effect with model.{option}={choice!r}: set model.{name}=None.")
    return {**defaults, **{name: value for name, value in given.items() if value is not None}}


def check_network(option: str, settings: object) -> None:
    """Raise ValueError unless ``model.<option>`` is the config of something, ``dict(type=...)``, or nothing."""
    kind = settings.get("type") if isinstance(settings, Mapping) else None
    if settings and not isinstance(kind, str | type):
        raise ValueError(
            f"model.{option} must be settings with a type, as in \"model.{option}=dict(type='...')\", or None, but got"
            f" {settings!r}."
        )


def without_residual(ignore: object, options: dict[str, Any]) -> dict[str, Any]:
    """The options, without ``residual`` and ``feed_forward`` where ClearCLIP's ``ignore_residual`` says so."""
    check_choice("ignore_residual", ignore, (True, False))
    if not ignore:
        return options
    for name in ("residual", "feed_forward"):
        if options.get(name):
            raise ValueError(f"model.ignore_residual=True and model.{name}=True contradict each other: leave one out.")
    return {**options, "residual": False, "feed_forward": False}


def take_options(record: type, options: dict[str, Any]) -> Any:  # noqa: ANN401 - an object of that type
    """Make a record (a dataclass, which checks its values) of those options that it names, and take these out.

    None is as good as no value: the record's default.
    """
    given = {field.name: options.pop(field.name) for field in fields(record) if field.name in options}
    return record(**{name: value for name, value in given.items() if value is not None})


def check_unused(options: Mapping[str, Any]) -> None:
    """Raise ValueError for options that MMSegmentation has and nothing here would read."""
    for name, value in options.items():
        if value is not None:
            remedy = "the weights are model.backbone.pretrained" if name == "pretrained" else "nothing is trained here"
            raise ValueError(f"model.{name}={value!r} has no effect: {remedy}. Leave it out.")


def check_common(options: Mapping[str, Any]) -> None:
    """Check the options of :class:`mmseg_tfovss.methods.base.OpenVocabSegmentor`, by name."""
    check_image_size(options["short_side"], options["centre_square"], options["stretch_to_square"])
    window_batch, pad_to = options["window_batch"], options["pad_to"]
    if not is_number(window_batch, whole=True) or window_batch < 1:
        raise ValueError(f"model.window_batch must be a whole number, at least 1, but got {window_batch!r}.")
    if pad_to not in (None, "patch") and not (is_number(pad_to, whole=True) and pad_to > 0):
        raise ValueError(f"model.pad_to must be a positive number of pixels, 'patch' or None, but got {pad_to!r}.")
    check_choice("whole_upsampling", options["whole_upsampling"], UPSAMPLINGS)
    check_choice("precision", options["precision"], PRECISIONS)
    for name in ("residual", "feed_forward"):
        check_choice(name, options[name], (None, True, False))
    check_pamr("pamr", options["pamr_steps"], options["pamr_dilations"])


def check_pamr(name: str, steps: Any, dilations: object) -> None:  # noqa: ANN401
    """Check the options ``<name>_steps`` and ``<name>_dilations``."""
    distances = list(dilations) if isinstance(dilations, Sequence) else []
    positive = bool(distances) and all(is_number(distance, whole=True) and distance > 0 for distance in distances)
    if not is_number(steps, whole=True) or steps < 0 or not positive:
        raise ValueError(
            f"model.{name}_steps must be a whole number, at least 0, and model.{name}_dilations positive numbers of"
            f" pixels, but got {steps!r} and {dilations!r}."
        )


def read_layers(option: str, layers: object, count: int, *, default: tuple[int, int]) -> range:
    """The blocks of an option, (first, last) of those before the last one of ``count``, or None: the default.

    Raises:
        ValueError: it is neither, or there are no such blocks.
    """
    chosen = default if layers is None else tuple(layers) if isinstance(layers, Sequence) else ()
    numbers = len(chosen) == 2 and all(is_number(number, whole=True) for number in chosen)
    if not numbers or not 1 <= chosen[0] <= chosen[1] < count:
        raise ValueError(
            f"model.{option} must be None or (first, last) with 1 <= first <= last < {count}, but got {layers!r}."
        )
    return range(chosen[0], chosen[1] + 1)


def read_test_cfg(test_cfg: dict[str, Any]) -> tuple[str, Size, Size]:
    """Mode, crop size and stride; the last two are (0, 0) in ``whole`` mode."""
    unknown = set(test_cfg) - _TEST_CFG
    if unknown:
        raise ValueError(f"model.test_cfg has unknown options {sorted(unknown)}; valid: {sorted(_TEST_CFG)}.")
    mode = test_cfg.get("mode")
    if mode == "whole":
        return mode, (0, 0), (0, 0)
    if mode != "slide":
        raise ValueError(f"model.test_cfg.mode must be 'whole' or 'slide', but got {mode!r}.")
    crop, stride = _read_size(test_cfg, "crop_size"), _read_size(test_cfg, "stride")
    if stride[0] > crop[0] or stride[1] > crop[1]:
        raise ValueError(
            f"model.test_cfg.stride must not be larger than crop_size, or pixels lie in no window, but got {stride} and"
            f" {crop}."
        )
    return mode, crop, stride


def check_mode(mode: str, valid: Sequence[str], method: str) -> None:
    """Raise ValueError for a mode that is not for a method."""
    if mode not in valid:
        taken = {"whole": "whole images", "slide": "sliding windows"}[valid[0]]
        raise ValueError(f"model.test_cfg.mode must be {valid[0]!r}, but got {mode!r}: {method} takes {taken} only.")


def _read_size(test_cfg: dict[str, Any], key: str) -> Size:
    value = test_cfg.get(key)
    pair = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(pair) != 2 or not all(is_number(pixels, whole=True) and pixels > 0 for pixels in pair):
        raise ValueError(
            f"model.test_cfg.{key} must be a positive number of pixels or (height, width), but got {value!r}."
        )
    return pair
