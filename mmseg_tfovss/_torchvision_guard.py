"""Let ``import torchvision`` succeed beside a CPU-only torch.

Package indexes serve a torchvision wheel whose C++ library was linked against CUDA. Beside a CPU build of torch
that library cannot load, so its operators are never declared, and torchvision's Python side fails on import with
"operator torchvision::nms does not exist" - and with it open_clip and timm, which need none of these operators.
Declaring (not implementing) the few operators that torchvision registers fake kernels for is enough.
"""

import importlib.util
from pathlib import Path

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# A torch.library.Library undeclares its operators when it is collected: keep it for the life of the process.
_keep_alive: list[torch.library.Library] = []


def compiled_library_loads() -> bool:
    """Whether torchvision's compiled operators can be loaded beside the installed torch.

    Returns:
        True as well when torchvision is not installed, or carries no compiled library: nothing to guard then.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True
    libraries = sorted(Path(spec.origin).parent.glob("_C*.so"))
    try:
        for library in libraries:
            torch.ops.load_library(str(library))
    except OSError:
        return False
    return True


def declare_missing_operators() -> None:
    """Declare torchvision's operators when its compiled library cannot load; otherwise do nothing."""
    if _keep_alive or compiled_library_loads():
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        library.define(schema)
    _keep_alive.append(library)
