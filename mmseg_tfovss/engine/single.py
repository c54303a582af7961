"""Single images, any words: what tfovss demo and ``mmseg_tfovss.load`` do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmseg.structures import SegDataSample

from mmseg_tfovss.config import build
from mmseg_tfovss.datasets.files import read_image
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.methods.stages import Assembly
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
        seg_logits: (Q, H, W) float32 cosine logits after refinement, if asked for; (C, H, W) scores of classes where a
            method merges their queries before.
        patch_logits: (Q, h, w) float32 of one window, if asked for.
    """

    image: np.ndarray
    pred: np.ndarray
    names: tuple[str, ...]
    queries: tuple[str, ...]
    seg_logits: np.ndarray | None = None
    patch_logits: np.ndarray | None = None


def find_device(device: str | torch.device) -> torch.device:
    """A device of this machine.

    Raises:
        ValueError: there is no such device.
    """
    try:
        target = torch.device(device)
        torch.empty(0, device=target)
    # torch signals an absent device with several exception types, depending on how it was built.
    except (RuntimeError, AssertionError, ImportError) as error:
        raise ValueError(
            f"The device {str(device)!r} is not available here ({str(error).splitlines()[0]}): take the device cpu,"
            " or leave it out."
        ) from error
    if target.type == "meta":  # torch has it everywhere, for shapes alone
        raise ValueError(f"The device {str(device)!r} computes nothing: take the device cpu, or leave it out.")
    return target


def build_method(config: Config, device: str | torch.device) -> OpenVocabSegmentor:
    """Build a config's model on a device.

    Raises:
        ValueError: unknown names or options, or a device that this machine lacks.
        FileNotFoundError: missing weights or vocabulary.
    """
    target = find_device(device)
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
    return fit_image(model, read_image(path), str(path))


def fit_image(model: OpenVocabSegmentor, original: np.ndarray, name: str) -> tuple[np.ndarray, torch.Tensor]:
    """:func:`load_image` of pixels (H, W, 3) uint8 BGR that have been read; ``name`` is for messages."""
    sample = SegDataSample(metainfo={"img_path": name, "ori_shape": original.shape[:2]})
    inputs = torch.from_numpy(np.ascontiguousarray(original)).permute(2, 0, 1)
    data = model.data_preprocessor({"inputs": [inputs], "data_samples": [sample]})
    return model.data_preprocessor.labelled(original), data["inputs"][0]


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
    [found] = segment_images(model, [read_image(path)], [str(path)], keep_logits=keep_logits, window=window)
    return found


@torch.inference_mode()
def segment_images(
    model: OpenVocabSegmentor,
    originals: Sequence[np.ndarray],
    names: Sequence[str],
    *,
    keep_logits: bool = False,
    window: tuple[int, int] | None = None,
) -> list[Segmentation]:
    """Segment images that go through the network together.

    Args:
        model: of :func:`build_method`.
        originals: (H, W, 3) uint8 BGR, of any sizes.
        names: of the images, for messages.
        keep_logits: see :func:`segment_file`.
        window: likewise, the same one of every image.

    Returns:
        One result per image.

    Raises:
        ValueError: an image that cannot be used, or a window outside of it.
    """
    fitted = [fit_image(model, original, name) for original, name in zip(originals, names, strict=True)]
    metas = [
        {"ori_shape": shown.shape[:2], "img_path": name, "original": shown[..., ::-1]}
        for (shown, _), name in zip(fitted, names, strict=True)
    ]
    assemblies = model.inference([image for _, image in fitted], metas)
    return [
        _labelled(model, assembly, shown, keep_logits, _window_logits(model, assembly, window) if window else None)
        for (shown, _), assembly in zip(fitted, assemblies, strict=True)
    ]


def _window_logits(model: OpenVocabSegmentor, assembly: Assembly, corner: tuple[int, int]) -> np.ndarray:
    """Logits (Q, h, w) of the window at a corner (y, x) of the resized image."""
    plan = model.window_plan(assembly.scene.resized)
    cut = plan.cut_at(assembly.scene.image, *corner)[None]
    logits = model.patch_logits(cut, [assembly.scene], [Place(*corner, plan.padding)])
    found: np.ndarray = logits[0].float().cpu().numpy()
    return found


def _labelled(
    model: OpenVocabSegmentor, assembly: Assembly, shown: np.ndarray, keep_logits: bool, patch_logits: np.ndarray | None
) -> Segmentation:
    """Refine and label one image, of which ``shown`` (BGR) gets the labels."""
    refined, head = model.refined(assembly), model.decode_head
    return Segmentation(
        image=shown[..., ::-1],
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
