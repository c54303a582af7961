"""What holds for every process of a test run; the shared fixtures are in fixtures.py."""

import gc
import os
import signal

import pytest

# Read by huggingface_hub when it is imported.
os.environ["HF_HUB_OFFLINE"] = "1"

# What is imported and collected stays: to look through it for garbage again and again would take seconds.
gc.disable()

# Under nohup, or in the background of a script, these are ignored, here and in what is started from here: tests that
# send them would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    """Under ``pytest -n`` this process only hands tests out: without the imports its workers start seconds earlier."""
    if config.pluginmanager.has_plugin("dsession"):
        gc.enable()
    else:
        from tests import fixtures

        config.pluginmanager.register(fixtures)
