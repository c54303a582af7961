"""Several processes, each with a copy of the frozen model."""

from typing import Any

from mmengine.registry import MODEL_WRAPPERS
from torch import nn


@MODEL_WRAPPERS.register_module()
class FrozenModel(nn.Module):
    """Stand-in for ``DistributedDataParallel``, which refuses models without gradients.

    Args:
        module: the model of this process.
        **kwargs: options of MMEngine's wrapper; none is needed.
    """

    def __init__(self, module: nn.Module, **kwargs: object) -> None:
        super().__init__()
        self.module: Any = module

    def test_step(self, data: dict[str, Any]) -> list[Any]:
        """Predict a batch with this process's model."""
        return self.module.test_step(data)
