"""Options that act only beside certain values of others, and are refused where a user sets them without these.

What a method's options need, it says in ``acts_with``. A config may hold settings for later (windows, beside
``mode="whole"``), and defaults never matter; but what a user sets for this run acts, or is an error.
"""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import partial
from typing import Any

from mmseg_tfovss.methods.around import AroundMethod, method_class
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.methods.options import Needs

_NONE = object()  # no such option, or no default
_COMMON = inspect.signature(OpenVocabSegmentor.__init__).parameters  # options that a base shares


@dataclass(frozen=True)
class _Method:
    """A method in a config.

    Attributes:
        place: ``model``, ``model.base``, ...
        kind: its class.
        settings: its config.
    """

    place: str
    kind: type[OpenVocabSegmentor]
    settings: Mapping[str, Any]

    def default(self, name: str) -> Any:  # noqa: ANN401
        """What an option is that is not set."""
        for owner in inspect.getmro(self.kind):
            for record in vars(owner).get("option_records", {}).values():
                found = [field.default for field in fields(record) if field.name == name]
                if found and found[0] is not MISSING:
                    return found[0]
            if owner in (AroundMethod, OpenVocabSegmentor) or "__init__" not in vars(owner):
                continue
            parameter = inspect.signature(vars(owner)["__init__"]).parameters.get(name)
            if parameter is not None and parameter.default is not parameter.empty:
                return parameter.default
        return _NONE

    def needs(self) -> dict[str, Needs]:
        """What its options need, its base classes' included."""
        return {
            option: needs
            for owner in reversed(inspect.getmro(self.kind))
            for option, needs in vars(owner).get("acts_with", {}).items()
        }


def check_acting(model: Mapping[str, Any], options: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Refuse options of a model that would not act beside its other settings.

    Args:
        model: its config, with the options.
        options: by their dotted names; None is no setting, and neither is what the option is anyway.
        before: the model's config without the options.

    Raises:
        ValueError: the option, and what it needs.
    """
    methods, earlier = list(_methods(model)), list(_methods(before))
    for name, value in options.items():
        depth = 0
        below = name.removeprefix("model.")
        while below.startswith("base.") and depth + 1 < len(methods):
            depth, below = depth + 1, below.removeprefix("base.")
        if name == below or depth >= len(methods) or value is None:
            continue
        needs = methods[depth].needs().get(below)
        if needs is None or needs.met(partial(_value, methods, depth)):
            continue
        if depth < len(earlier) and _plain(_value(earlier, depth, below)) == _plain(value):
            continue
        what = needs.what.replace("{}", methods[depth].place)
        raise ValueError(
            f"{name}={value!r} has no effect: it acts with {what} only. Set that too, or leave {name} out."
        )


def _methods(settings: Any, place: str = "model") -> Iterator[_Method]:  # noqa: ANN401
    """A model's method, its base, the base's base, and so on."""
    kind = method_class(settings)
    if kind is not None:
        yield _Method(place, kind, settings)
        yield from _methods(settings.get("base"), f"{place}.base")


def _value(methods: list[_Method], depth: int, name: str) -> Any:  # noqa: ANN401
    """What an option is for the method at a depth: as it is set, or by default."""
    first, _, rest = name.partition(".")
    if rest:  # of a part that all share
        part = methods[0].settings.get(first)
        return part.get(rest) if isinstance(part, Mapping) else None
    sharing = methods if first in _COMMON else methods[depth : depth + 1]
    for method in reversed(sharing):  # what a base says and what stands beside it agree, where both act
        if first in method.settings:
            return method.settings[first]
    found = next((default for method in sharing if (default := method.default(first)) is not _NONE), _NONE)
    return _COMMON[first].default if found is _NONE and first in _COMMON else found


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
