"""The marker of tests that need a slurm cluster."""


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "slurm: installs and starts a one-node slurm (run with: pytest -m slurm, as root)"
    )
