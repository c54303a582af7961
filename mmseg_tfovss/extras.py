"""Packages that only some methods need: imported where they are used, and named in one sentence when absent."""

from importlib import import_module
from typing import Any

# Package to import -> extra of setup.cfg that installs it.
EXTRAS = {"transformers": "companions", "diffusers": "diffusion", "ot": "pot"}
PROJECTS = {"ot": "POT"}  # where the name to install is another


def import_extra(package: str, purpose: str, extra: str | None = None) -> Any:  # noqa: ANN401
    """Import a package that only some methods need.

    Args:
        package: its name, one of ``EXTRAS``.
        purpose: what needs it, as the subject of a sentence.
        extra: that installs all that ``purpose`` needs; ``None``: the package's own.

    Returns:
        The package.

    Raises:
        ValueError: it is not installed.

    Example:
        >>> import_extra("transformers", "DINO").__name__
        'transformers'
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:  # it is there, but something that it needs is not
            raise
        raise ValueError(
            f"{purpose} needs the package {PROJECTS.get(package, package)}, which is not installed:"
            f" pip install 'mmseg_tfovss[{extra or EXTRAS[package]}]'."
        ) from error
