"""Child registries of MMSegmentation's: what this package adds is found here first, then in MMSeg and MMEngine."""

from mmengine.registry import Registry
from mmseg import registry as mmseg

_SCOPE = "mmseg_tfovss"

MODELS = Registry(
    "tfovss model",
    parent=mmseg.MODELS,
    scope=_SCOPE,
    locations=["mmseg_tfovss.methods", "mmseg_tfovss.encoders", "mmseg_tfovss.heads"],
)
DATASETS = Registry("tfovss dataset", parent=mmseg.DATASETS, scope=_SCOPE, locations=["mmseg_tfovss.datasets"])
TRANSFORMS = Registry("tfovss transform", parent=mmseg.TRANSFORMS, scope=_SCOPE, locations=["mmseg_tfovss.datasets"])
METRICS = Registry("tfovss metric", parent=mmseg.METRICS, scope=_SCOPE, locations=["mmseg_tfovss.evaluation"])
HOOKS = Registry("tfovss hook", parent=mmseg.HOOKS, scope=_SCOPE, locations=["mmseg_tfovss.engine"])
