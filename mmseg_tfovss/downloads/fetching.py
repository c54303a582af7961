"""Plan what configs need, and carry the plan out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.config import Config
from rich.filesize import decimal

from mmseg_tfovss.downloads.data import draws_itself, make_data, plan_data
from mmseg_tfovss.downloads.hub import fetch, has_checksum
from mmseg_tfovss.downloads.needs import Need, needs_of
from mmseg_tfovss.downloads.plan import Item, place_of, plan_weights, total_lines

Tell = Callable[[str], None]
Attempt = Callable[[], AbstractContextManager[None]]  # around each step; it may keep errors for later


@dataclass(frozen=True)
class Plan:
    """What some configs need.

    Attributes:
        configs: of :func:`mmseg_tfovss.config.load_config`.
        needs: their weights and files, each once.
        weights: one item for each need.
        data: items of their datasets, each once; None: datasets are not asked for.
        archives: folder of the datasets' archives.
    """

    configs: Sequence[Config]
    needs: Sequence[Need]
    weights: Sequence[Item]
    data: Sequence[Item] | None = None
    archives: Path = field(default_factory=Path)

    @property
    def items(self) -> list[Item]:
        """All of them."""
        return [*self.weights, *(self.data or ())]

    @property
    def fetches(self) -> bool:
        """Whether anything comes over the network."""
        return any(item.state == "fetch" for item in self.items)

    @property
    def lines(self) -> Iterator[str]:
        """For a terminal or a log."""
        yield from (f"  {item.line}" for item in self.items)
        for config in self.configs if self.data is not None else ():
            if draws_itself(config):
                yield f"  here   {config.dataset}: its images are drawn when they are needed"
        if all(not need.repository for need in self.needs) and all(item.state == "here" for item in self.weights):
            yield "No weights have to be fetched: all of them are files of this machine."
        yield from total_lines(self.items)


def make_plan(configs: Sequence[Config], archives: Path, *, data: bool, ask: bool) -> Plan:
    """Find out what configs need.

    Args:
        configs: which.
        archives: folder of the datasets' archives, or of what they unpack to.
        data: take their datasets too.
        ask: ask servers for sizes and licences.

    Raises:
        ValueError: a config names weights that do not exist.
    """
    needs = list({(need.repository or need.path): need for config in configs for need in needs_of(config)}.values())
    found = [item for config in configs for item in plan_data(config, archives, ask=ask)] if data else None
    items = None if found is None else list(dict.fromkeys(found))
    return Plan(configs, needs, plan_weights(needs, ask=ask), items, archives)


def refuse_missing(plan: Plan, faults: Sequence[str] = ()) -> None:
    """Raise FileNotFoundError if something is needed that cannot be fetched.

    Args:
        plan: of :func:`make_plan`.
        faults: sentences about what went wrong when the plan was carried out.
    """
    told = [f"{item.name}: {item.remedy}" for item in plan.items if item.state == "missing"]
    told = [*(["Not everything can be fetched"] if told else []), *told, *dict.fromkeys(faults)]
    if told:
        raise FileNotFoundError(" ".join(f"{fault.removesuffix('.')}." for fault in told))


def fetch_weights(plan: Plan, tell: Tell, attempt: Attempt = nullcontext) -> None:
    """Fetch weights; what is here is compared with its checksum, where that is known, and left.

    Args:
        plan: of :func:`make_plan`.
        tell: takes lines for people.
        attempt: around each network.

    Raises:
        OSError: no connection, no space.
        ValueError: what came is not what the hub names.
    """
    for need, item in zip(plan.needs, plan.weights, strict=True):
        if need.repository and item.state != "missing":
            with attempt():
                _fetch(need, item, tell)


def _fetch(need: Need, item: Item, tell: Tell) -> None:
    paths = fetch(need)
    size = decimal(sum(path.stat().st_size for path in paths))
    done = "fetched" if item.state == "fetch" else "already here"
    checked = "checksum compared" if all(map(has_checksum, paths)) else "no checksum is known"
    tell(f"{need.name}: {done}, {size}, {checked}: {place_of(paths)}")


def make_datasets(plan: Plan, workers: int, tell: Tell, attempt: Attempt = nullcontext) -> dict[str, Path]:
    """Fetch and prepare the datasets of a plan, unless they are there or something of them cannot be fetched.

    Args:
        plan: of :func:`make_plan`.
        workers: processes for the conversion.
        tell: takes lines for people.
        attempt: around each dataset.

    Returns:
        Their folders, by the run names of their configs; data that ``tfovss prepare`` does not make are missing.

    Raises:
        OSError: no connection, no space.
        ValueError: what came is not what the publisher names.
    """
    folders = {}
    for config in plan.configs if plan.data is not None else ():
        if any(item.state == "missing" for item in plan_data(config, plan.archives, ask=False)):
            continue
        with attempt():
            folder = make_data(config, plan.archives, workers)
            if folder is not None:
                tell(f"{config.dataset}: prepared in {folder}")
                folders[config.run_name] = folder
    return folders
