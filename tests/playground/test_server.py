"""Where the page is served, and who can use it; the page itself is tested in a browser (test_page.py)."""

import os
import socket
import stat

import pytest

from mmseg_tfovss.playground.server import check_address, own_folder, reach_of


def test_a_port_in_use_is_refused():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        remedy = f"port {port} .Address already in use.: name another with --port.$"
        with pytest.raises(ValueError, match=remedy):
            check_address("127.0.0.1", port)
    check_address("127.0.0.1", port)


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_a_host_that_nobody_knows_is_refused(error, monkeypatch):
    def look_up(*_, **__):
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", look_up)  # a real one may wait for a network
    with pytest.raises(ValueError, match=r"^--host a\.b is no address of this machine: try 127\.0\.0\.1\.$"):
        check_address("a.b", 7860)


def test_the_address_of_another_machine_is_refused():
    with pytest.raises(ValueError, match=r"192\.0\.2\.1, port 7860 .Cannot assign requested address"):
        check_address("192.0.2.1", 7860)  # nobody's (RFC 5737)


def test_who_can_use_it_is_said():
    assert reach_of("127.0.0.1") == reach_of("localhost") == "Only users of this machine can reach it."
    assert "It has no password" in reach_of("0.0.0.0")


def test_its_folder_is_this_users_and_goes(monkeypatch):
    for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED", "no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "example.org" if "proxy" in name.lower() else "")
    with own_folder("10.0.0.1") as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert os.environ["GRADIO_TEMP_DIR"] == str(folder)
        assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
        assert os.environ["no_proxy"].split(",") == ["example.org", "127.0.0.1", "localhost", "::1", "10.0.0.1"]
        (folder / "upload.png").write_bytes(b"")
    assert not folder.exists()
