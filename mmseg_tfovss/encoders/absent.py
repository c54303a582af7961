"""What is said where CLIP's weights are neither here nor to be had: what they are, and the ways out."""

import os

from open_clip.pretrained import HF_SAFE_WEIGHTS_NAME, get_pretrained_cfg

_USUAL = ("ViT-B-16", "openai")  # of the config in the remedy
_CONFIG = "sclip_vit-b16_voc20"


class AbsentWeightsError(FileNotFoundError):
    """The weights of a tag are not in the local cache and cannot be downloaded.

    Its text names the options of the command line.

    Attributes:
        in_python: the same text with the options of :func:`mmseg_tfovss.load`.
    """

    def __init__(self, arch: str, tag: str, reason: str) -> None:
        what = f"The weights {arch}/{tag} are not in the local cache and could not be downloaded ({reason}): {{}}."
        super().__init__(what.format(_ways_out(arch, tag, "model.backbone.pretrained", "pocket")))
        self.in_python = what.format(_ways_out(arch, tag, "pretrained", '"pocket"'))


def _ways_out(arch: str, tag: str, option: str, pocket: str) -> str:
    name, address = _file(arch, tag)
    changed = {"model.backbone.arch": arch, "model.backbone.pretrained": tag}
    options = [f"{key}={value}" for (key, value), usual in zip(changed.items(), _USUAL, strict=True) if value != usual]
    more = f" --cfg-options {' '.join(options)}" if options else ""
    return (
        f"to try the small CLIP of this package at once, set {option}={pocket}; or run tfovss download --for"
        f" {_CONFIG}{more} on a machine with a network; or download {name} from {address} there and set {option} to"
        " the file"
    )


def _file(arch: str, tag: str) -> tuple[str, str]:
    """The name of the file that open_clip downloads, and the page where it is."""
    settings = get_pretrained_cfg(arch, tag)
    repository, name = os.path.split(settings.get("hf_hub", ""))
    if repository:
        return name or HF_SAFE_WEIGHTS_NAME, f"https://huggingface.co/{repository}"
    return settings.get("url", "").rpartition("/")[2], settings.get("url", "")
