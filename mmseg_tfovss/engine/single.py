"""One image, any words: what tools/demo.py does."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.structures import SegDataSample

from mmseg_tfovss.config import build
from mmseg_tfovss.datasets.files import read_image
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.ops.windows import Place
from mmseg_tfovss.registry import MODELS


@dataclass(frozen=True)
class Segmentation:
    """A segmented image.

    Attributes:
        image: (H, W, 3) uint8 RGB, original size.
        pred: (H, W) int64 class ids.
        names: one per class; "background" for a class 0 of which the list says so.
        queries: one per query.
        seg_logits: (Q, H, W) float32 cosine logits after refinement, if asked for.
        patch_logits: (Q, h, w) float32 of one window, if asked for.
    """

    image: np.ndarray
    pred: np.ndarray
    names: tuple[str, ...]
    queries: tuple[str, ...]
    seg_logits: np.ndarray | None = None
    patch_logits: np.ndarray | None = None


def build_method(config: Config, device: str | torch.device) -> OpenVocabSegmentor:
    """Build a config's model on a device.

    Raises:
        ValueError: unknown names or options, or a device that this machine lacks.
        FileNotFoundError: missing weights or vocabulary.
    """
    try:
        target = torch.device(device)
        torch.empty(0, device=target)
    # torch signals an absent device with several exception types, depending on how it was built.
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"The device {str(device)!r} is not available here ({str(error).splitlines()[0]}): leave --device out, or"
            " take --device cpu."
        ) from error
    with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
        model: OpenVocabSegmentor = build(config.model, MODELS, "model")
    model.cfg = config
    return model.to(target)


def load_image(model: OpenVocabSegmentor, path: Path) -> tuple[np.ndarray, torch.Tensor]:
    """Read an image, and make of it what the network sees.

    Args:
        model: its preprocessor and device are used.
        path: image file.

    Returns:
        The image that is labelled (H, W, 3) uint8 BGR (the file's, unless the model cuts out a part), and the resized,
        normalised RGB tensor (3, h, w) on the model's device.
    """
    original = read_image(path)
    sample = SegDataSample(metainfo={"img_path": str(path), "ori_shape": original.shape[:2]})
    inputs = torch.from_numpy(np.ascontiguousarray(original)).permute(2, 0, 1)
    data = model.data_preprocessor({"inputs": [inputs], "data_samples": [sample]})
    return model.data_preprocessor.labelled(original), data["inputs"][0]


@torch.inference_mode()
def segment_file(
    model: OpenVocabSegmentor,
    path: Path,
    *,
    keep_logits: bool = False,
    window: tuple[int, int] | None = None,
) -> Segmentation:
    """Segment one image file.

    Args:
        model: of :func:`build_method`.
        path: the image.
        keep_logits: return ``seg_logits`` too (queries x pixels floats).
        window: (y, x) corner, in the resized image, of the window whose ``patch_logits`` are returned; its size is the
            config's crop size, or the whole image in ``whole`` mode.

    Returns:
        Labels at the original size, and what was asked for.

    Raises:
        FileNotFoundError: no such image.
        ValueError: an image that cannot be used, or a window outside of it.
    """
    original, image = load_image(model, path)
    meta = {"ori_shape": original.shape[:2], "img_path": str(path), "original": original}
    [assembly] = model.inference([image], [meta])
    patch_logits = None
    if window is not None:
        plan = model.window_plan(assembly.scene.resized)
        cut = plan.cut_at(image, *window)[None]
        place = Place(*window, plan.padding)
        patch_logits = model.patch_logits(cut, [assembly.scene], [place])[0].float().cpu().numpy()
    refined, head = model.refined(assembly), model.decode_head
    return Segmentation(
        image=original[..., ::-1],
        pred=model.labels_of(assembly, refined).cpu().numpy(),
        names=head.vocabulary.shown_names,
        queries=head.vocabulary.queries,
        seg_logits=model.dense_logits(assembly, refined).float().cpu().numpy() if keep_logits else None,
        patch_logits=patch_logits,
    )


def save_arrays(result: Segmentation, path: Path) -> None:
    """Write logits, labels and words as an .npz file."""
    arrays = {
        "pred": result.pred,
        "classes": np.array(result.names),
        "queries": np.array(result.queries),
        "seg_logits": result.seg_logits,
        "patch_logits": result.patch_logits,
    }
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})  # type: ignore[arg-type]
