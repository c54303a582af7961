"""``model-index.yml`` and ``configs/*/metafile.yml`` in MMSegmentation's format; ``make model-index`` writes them.

OpenMMLab's tooling reads them: which configs there are, whose weights they take, and what was reached. All of it is
made from the configs and the published numbers. Scores are what the authors print for a config's settings, with their
source; none was measured here.
"""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from mmengine.config import Config
from open_clip.pretrained import get_pretrained_cfg

from mmseg_tfovss.catalogue import MethodFacts, config_folder, facts_of, method_names
from mmseg_tfovss.datasets.facts import FACTS
from mmseg_tfovss.evaluation.result import Result
from mmseg_tfovss.evaluation.setting import setting_of
from mmseg_tfovss.leaderboard.published import JOIN, Published, counterpart, full_source, published_numbers
from mmseg_tfovss.registry import MODELS
from mmseg_tfovss.whole_file import whole_file

INDEX, METAFILE = "model-index.yml", "metafile.yml"
_FIRST_LINE = "# Made by: make model-index\n"
_TASK = "Semantic Segmentation"


def metafile_text(folder: Path) -> str:
    """The metafile of one folder of configs.

    Args:
        folder: ``configs/<method>``.
    """
    facts = facts_of(folder.name)
    printed = published_numbers([name for name in FACTS if not name.startswith("pocket")])
    paths = [path for path in sorted(folder.rglob("*.py")) if "_vit-pocket" not in path.name]
    content = {"Collections": [_collection(folder, facts)], "Models": [_model(path, facts, printed) for path in paths]}
    return _text(content)


def index_text(folders: list[Path]) -> str:
    """The index, which names the metafiles of these folders."""
    root = config_folder().parent
    return _text({"Import": [(folder / METAFILE).relative_to(root).as_posix() for folder in sorted(folders)]})


def write_index() -> list[Path]:
    """Write all of them into the repository; the files."""
    folders = [path for path in sorted(config_folder().iterdir()) if path.is_dir() and path.name in method_names()]
    texts = {folder / METAFILE: metafile_text(folder) for folder in folders}
    texts[config_folder().parent / INDEX] = index_text(folders)
    for path, text in texts.items():
        with whole_file(path) as scratch:
            scratch.write_text(text, encoding="utf-8")
    return list(texts)


def _collection(folder: Path, facts: MethodFacts) -> dict[str, Any]:
    page = f"docs/methods/{folder.name}.md"
    return {
        "Name": facts.title,
        "License": "Apache License 2.0",
        "Paper": {"Title": f"{facts.title}: {facts.paper}", "URL": facts.url},
        "README": page if (config_folder().parent / page).is_file() else "docs/methods/index.md",
        "Frameworks": ["PyTorch"],
    }


def _model(path: Path, facts: MethodFacts, printed: list[Published]) -> dict[str, Any]:
    config = Config.fromfile(path)
    networks = list(_networks(config.model))
    number = counterpart(_as_result(config, networks), printed)
    found: dict[str, Any] = {"Name": path.stem, "In Collection": facts.title}
    metadata: dict[str, Any] = {"Architecture": networks}
    if number is not None:
        scores = {name: float(score) for name, score in number.scores.items()}
        found["Results"] = {"Task": _TASK, "Dataset": FACTS[config.dataset].title, "Metrics": scores}
        metadata["Source of Results"] = full_source([number])
    return {
        **found,
        "Config": path.relative_to(config_folder().parent).as_posix(),
        "Metadata": metadata,
        "Weights": _address(config.model.backbone.arch, config.model.backbone.pretrained),
    }


def _as_result(config: Config, networks: list[str]) -> Result:
    """What a result of a config would say of itself."""
    said: Any = {  # all that the comparison reads
        "protocol": config.protocol,
        "overrides": {},
        "dataset": config.dataset,
        "method": config.model.type,
        "setting": setting_of(config),
        "backbone": JOIN.join(networks),
    }
    result: Result = said
    return result


def _networks(model: Mapping[str, Any]) -> Iterator[str]:
    """Names of a model's networks, as results have them; a wrapped method's come behind its own."""
    if "backbone" in model:
        yield f"{model['backbone']['arch']}/{model['backbone']['pretrained']}"
    for option, settings in model.items():
        if option == "backbone" or not isinstance(settings, Mapping) or "type" not in settings:
            continue
        name = _name(settings)
        if name:
            yield name
        elif option == "base":
            yield from _networks(settings)


def _name(settings: Mapping[str, Any]) -> str:
    """Of a companion: where its weights come from; empty: it is no network with weights of its own."""
    kind = MODELS.get(settings["type"])
    options = inspect.signature(kind).parameters
    default = options["pretrained"].default if "pretrained" in options else None
    network = getattr(kind, "network", None)  # of those that have their default there
    name = settings.get("pretrained") or default or getattr(network, "default", "")
    return name if isinstance(name, str) else ""


def _address(arch: str, tag: str) -> str:
    """Where open_clip fetches weights from."""
    known = get_pretrained_cfg(arch, tag)
    return known.get("url") or f"https://huggingface.co/{known['hf_hub'].strip('/')}"


def _text(content: Mapping[str, Any]) -> str:
    return _FIRST_LINE + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    import mmseg_tfovss.methods  # noqa: F401 - their names
    from mmseg_tfovss.cli import say

    say(*write_index())
