"""Packages that the networks of a model need, and a plain installation lacks."""

from collections.abc import Iterator, Mapping

from mmseg_tfovss.encoders.pretrained import Network
from mmseg_tfovss.extras import is_installed
from mmseg_tfovss.registry import MODELS


def missing_packages(settings: object) -> set[str]:
    """Names of packages that are not installed, and that some network in a model's settings needs, at any depth."""
    return {package for network in _networks(settings) for package in network.packages if not is_installed(package)}


def _networks(settings: object) -> Iterator[Network]:
    if not isinstance(settings, Mapping):
        return
    kind = settings.get("type")
    network = getattr(MODELS.get(kind) if isinstance(kind, str) else kind, "network", None)
    if isinstance(network, Network):
        yield network
    for part in settings.values():
        yield from _networks(part)
