"""What setup.cfg cannot say: in a wheel, ``configs`` lies inside the package, as ``mmseg_tfovss/configs``."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CONFIGS = Path("configs")


class BuildWithConfigs(build_py):
    """Build the package, and its configs into it."""

    def run(self) -> None:
        """Copy them, after what an earlier build has left is gone; an editable install has those of the checkout."""
        super().run()
        if not self.editable_mode:
            shutil.rmtree(self._target(), ignore_errors=True)
            for path in self._files():
                target = self._target() / path.relative_to(CONFIGS)
                self.mkpath(str(target.parent))
                self.copy_file(str(path), str(target))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Name them among what is built."""
        own = [] if self.editable_mode else [str(self._target() / path.relative_to(CONFIGS)) for path in self._files()]
        return [*super().get_outputs(include_bytecode), *own]

    def _target(self) -> Path:
        return Path(self.build_lib) / "mmseg_tfovss" / CONFIGS

    def _files(self) -> list[Path]:
        return sorted(CONFIGS.rglob("*.py"))


setup(cmdclass={"build_py": BuildWithConfigs})
