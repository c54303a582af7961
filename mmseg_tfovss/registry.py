"""Child registries of MMSegmentation's: what this package adds is found here first, then in MMSeg and MMEngine."""

from typing import Any

from mmengine import registry as mmengine
from mmengine.registry import Registry
from mmseg import registry as mmseg

_SCOPE = "mmseg_tfovss"


class _Models(Registry):
    """Whose segmentors are known to MMSegmentation's own scope as well: MMSegInferencer builds there."""

    def _register_module(self, module: Any, module_name: Any = None, force: bool = False) -> None:  # noqa: ANN401
        super()._register_module(module, module_name, force)
        if any(kind.__name__ == "EncoderDecoder" for kind in getattr(module, "__mro__", ())):
            mmseg.MODELS._register_module(module, module_name, force)


MODELS = _Models(
    "tfovss model",
    parent=mmseg.MODELS,
    scope=_SCOPE,
    locations=["mmseg_tfovss.methods", "mmseg_tfovss.encoders", "mmseg_tfovss.heads"],
)
DATASETS = Registry(
    "tfovss dataset",
    parent=mmseg.DATASETS,
    scope=_SCOPE,
    locations=["mmseg_tfovss.datasets", "mmseg_tfovss.pocket"],
)
TRANSFORMS = Registry("tfovss transform", parent=mmseg.TRANSFORMS, scope=_SCOPE, locations=["mmseg_tfovss.datasets"])
METRICS = Registry("tfovss metric", parent=mmseg.METRICS, scope=_SCOPE, locations=["mmseg_tfovss.evaluation"])
HOOKS = Registry("tfovss hook", parent=mmseg.HOOKS, scope=_SCOPE, locations=["mmseg_tfovss.engine"])
LOOPS = Registry("tfovss loop", parent=mmengine.LOOPS, scope=_SCOPE, locations=["mmseg_tfovss.engine"])

VISUALIZERS = Registry("tfovss visualizer", parent=mmseg.VISUALIZERS, scope=_SCOPE, locations=["mmseg.visualization"])

# MMEngine warns when a registry it builds from has no child of the default scope, so these stand here empty.
_EMPTY = [
    Registry(f"tfovss {parent.name}", parent=parent, scope=_SCOPE)
    for parent in (
        mmengine.DATA_SAMPLERS,
        mmengine.LOG_PROCESSORS,
        mmengine.MODEL_WRAPPERS,
        mmseg.VISBACKENDS,
    )
]
