"""What a result is called beside its method: made from its config, so that nothing is forgotten or inherited."""

import inspect
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from mmengine.config import Config

from mmseg_tfovss.encoders.companion import Companion
from mmseg_tfovss.registry import MODELS


def setting_of(config: Config) -> str:
    """The setting of a run, e.g. ``336 pixels``, ``around SCLIP``, ``around NACLIP (sigma=3), optimal path``.

    Of a method around another one, the other one's name and those of its options that differ from their defaults; then
    what the config says by itself in ``setting``. Options that authors choose by dataset or network (``fitted``) are
    left out unless they switch something off, as 0 and None do: with them, a method would have another name on every
    dataset. So are networks, which the backbone names. The leaderboard names such options where two results of one
    dataset differ in them.
    """
    model = config.model.to_dict() if isinstance(config.model, Config) else dict(config.model)
    return ", ".join(filter(None, (_around(model), str(config.get("setting", "")))))


def _around(settings: Mapping[str, Any]) -> str:
    """The method that a method's config is around, and what is around that one; empty if there is none."""
    base = settings.get("base")
    if not isinstance(base, Mapping):
        return ""
    kind = base.get("type")
    method = MODELS.get(kind) if isinstance(kind, str) else kind
    defaults = _defaults(method)
    fitted: frozenset[str] = getattr(method, "fitted", frozenset())
    unnamed = {"type", "base", *(name for name in fitted if base.get(name) or base.get(name) is False)}
    unnamed |= {name for name, value in base.items() if _is_network(value)}
    own = {name: value for name, value in base.items() if name not in unnamed}
    changed = [f"{name}={_short(value)}" for name, value in own.items() if defaults.get(name, MISSING) != value]
    details = ", ".join(filter(None, (_around(base), *changed)))
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
    return f"around {name} ({details})" if details else f"around {name}"


def _is_network(value: object) -> bool:
    """Whether a value is the config of a companion."""
    kind = value.get("type") if isinstance(value, Mapping) else None
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    return isinstance(kind, type) and issubclass(kind, Companion)


def _defaults(kind: object) -> dict[str, object]:
    """Options of a class and their defaults; those of its own come before those of its base classes."""
    found: dict[str, object] = {}
    for owner in inspect.getmro(kind) if isinstance(kind, type) else ():
        for record in owner.__dict__.get("option_records", {}).values():
            found = {**{option.name: option.default for option in fields(record)}, **found}
        constructor = owner.__dict__.get("__init__")
        parameters = inspect.signature(constructor).parameters.values() if constructor else ()
        found = {**{p.name: p.default for p in parameters if p.default is not p.empty}, **found}
    return found


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{value.get('type', 'dict')}" if set(value) <= {"type"} else str(dict(value))
    return str(value)
