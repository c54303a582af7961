"""Options that act only beside certain values of others, and are refused where a user sets them without these.

What a method's options need, it says in ``acts_with``. A config may hold settings for later (windows, beside
``mode="whole"``), and defaults never matter; but what a user sets for this run acts, or is an error.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import partial
from itertools import takewhile
from typing import Any

from mmseg_tfovss.registry import MODELS

_NONE = object()  # no such option, or no default


@dataclass(frozen=True)
class Needs:
    """What an option needs to act: an entry of a method's ``acts_with``.

    Attributes:
        what: for messages, e.g. ``{}.alpha above 0``, with the method's place for ``{}``.
        met: whether there is that, of a function that gives other options' values by their names below the method.
    """

    what: str
    met: Callable[[Callable[[str], Any]], bool]


SLIDING = Needs("model.test_cfg.mode='slide'", lambda value: value("test_cfg.mode") != "whole")
WHOLE = Needs("model.test_cfg.mode='whole'", lambda value: value("test_cfg.mode") != "slide")


def above_zero(option: str) -> Needs:
    """Another option above 0."""
    return Needs(f"{{}}.{option} above 0", lambda value: value(option) != 0)


def one_of(option: str, *valid: object) -> Needs:
    """Another option that is one of these."""
    listed = " or ".join(f"{{}}.{option}={one!r}" for one in valid)
    return Needs(listed, lambda value: value(option) in valid)


@dataclass(frozen=True)
class _Method:
    """A method in a config.

    Attributes:
        place: ``model``, ``model.base``, ...
        kind: its class.
        settings: its config.
    """

    place: str
    kind: type
    settings: Mapping[str, Any]

    @property
    def root(self) -> type:
        """The class of all methods: the first that says ``acts_with``."""
        return next(owner for owner in reversed(inspect.getmro(self.kind)) if "acts_with" in vars(owner))

    @property
    def shared(self) -> Mapping[str, inspect.Parameter]:
        """Options that all methods have, and share with their base."""
        return inspect.signature(vars(self.root)["__init__"]).parameters

    def default(self, name: str) -> Any:  # noqa: ANN401
        """What the method makes of an option that is not set."""
        for owner in takewhile(lambda owner: owner is not self.root, inspect.getmro(self.kind)):
            for record in vars(owner).get("option_records", {}).values():
                found = [field.default for field in fields(record) if field.name == name]
                if found and found[0] is not MISSING:
                    return found[0]
            constructor = vars(owner).get("__init__", object.__init__)
            parameter = inspect.signature(constructor).parameters.get(name)
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
        options: by their dotted names; None is no setting, and neither is what the option is anyway or by default.
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
        if below.startswith("test_cfg.") and "model.test_cfg.mode" in options:
            continue  # MMSeg's settings of windows stated together, as recorded cases do: the mode says which act
        if _plain(methods[depth].default(below)) == _plain(value):
            continue
        if depth < len(earlier) and _plain(_value(earlier, depth, below)) == _plain(value):
            continue
        what = needs.what.replace("{}", methods[depth].place)
        raise ValueError(
            f"{name}={value!r} has no effect: it acts with {what} only. Set that too, or leave {name} out."
        )


def _methods(settings: Any, place: str = "model") -> Iterator[_Method]:  # noqa: ANN401
    """A model's method, its base, the base's base, and so on."""
    name = settings.get("type") if isinstance(settings, Mapping) else None
    kind = MODELS.get(name) if isinstance(name, str) else name
    if isinstance(kind, type) and hasattr(kind, "acts_with"):
        yield _Method(place, kind, settings)
        yield from _methods(settings.get("base"), f"{place}.base")


def _value(methods: list[_Method], depth: int, name: str) -> Any:  # noqa: ANN401
    """What an option is for the method at a depth: as it is set, or by default."""
    first, _, rest = name.partition(".")
    if rest:  # of a part that all share
        part = methods[0].settings.get(first)
        return part.get(rest) if isinstance(part, Mapping) else None
    if first not in methods[depth].shared:
        method = methods[depth]
        return method.settings.get(first, method.default(first))
    for method in reversed(methods):  # what a base says and what stands beside it agree, where both act
        if first in method.settings:
            return method.settings[first]
    defaults = (method.default(first) for method in methods)
    return next((default for default in defaults if default is not _NONE), methods[0].shared[first].default)


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
