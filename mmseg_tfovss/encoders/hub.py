"""The model hub's client, on machines with and without a network."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies

import huggingface_hub

_CONNECT_SECONDS = 5.0


@contextmanager
def offline_if_unreachable() -> Iterator[None]:
    """Let the hub client look into its cache only when the hub cannot be reached: it would retry for a minute."""
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    if not before and not hub_reachable():
        huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = before


def hub_reachable() -> bool:
    """Whether a connection to the hub, or to a proxy, can be tried with some hope."""
    endpoint = urlsplit(huggingface_hub.constants.ENDPOINT)
    if getproxies().get(endpoint.scheme):
        return True  # a direct connection says nothing about the proxy
    port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
    try:
        socket.create_connection((endpoint.hostname or "", port), timeout=_CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the libraries' own warnings of what is either wanted here or reported in one sentence."""
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
