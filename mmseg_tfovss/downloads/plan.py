"""What is here, what has to be fetched, how large it is, and on what terms: one item for each thing, and its line."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.filesize import decimal

from mmseg_tfovss.downloads.hub import Offer, offer, page, stored
from mmseg_tfovss.downloads.needs import Need

State = Literal["here", "fetch", "make", "missing"]
_UNKNOWN = "size not known until the server is asked"


@dataclass(frozen=True)
class Item:
    """One thing that a run needs.

    Attributes:
        name: for people.
        state: ``here``; to ``fetch``; to ``make`` of what is fetched; ``missing``, and nothing here can get it.
        where: it lies, or will lie.
        size: bytes; None: not known.
        exact: whether ``size`` is more than an estimate.
        source: address; empty: of this machine.
        terms: of use; empty: nothing is known.
        remedy: for what is missing: the sentence that says what to do.
    """

    name: str
    state: State
    where: Path
    size: int | None = None
    exact: bool = True
    source: str = ""
    terms: str = ""
    remedy: str = ""

    @property
    def line(self) -> str:
        """For a terminal or a log."""
        size = "" if self.size is None else f"{'' if self.exact else 'about '}{decimal(self.size)}"
        if self.state == "here":
            return f"here   {self.name}: {f'{size} in ' if size else ''}{self.where}"
        if self.state == "missing":
            return f"absent {self.name}: {self.remedy}"
        if self.state == "make":
            return f"make   {self.name}: {size} in {self.where}; terms: {self.terms}"
        terms = f"; {self.terms}" if self.terms else ""
        return f"fetch  {self.name} from {self.source}: {size or _UNKNOWN}, to {self.where}{terms}"


def plan_weights(needs: Iterable[Need], *, ask: bool) -> list[Item]:
    """What is to be done for weights.

    Args:
        needs: of one config or several.
        ask: ask the hub for sizes and licences of what is not here; what it does not have is missing.
    """
    return [_weights(need, ask=ask) for need in needs]


def _weights(need: Need, *, ask: bool) -> Item:
    if not need.repository:
        return _local(need)
    from huggingface_hub import constants

    paths = stored(need)
    if paths:
        return Item(need.name, "here", place_of(paths), _size(paths))
    cache = Path(constants.HF_HUB_CACHE)
    try:
        offered = offer(need) if ask or constants.HF_HUB_OFFLINE else Offer({"": None}, "")
    except OSError as error:
        remedy = str(error).removeprefix(f"{need.name} ").removesuffix(".")
        return Item(need.name, "missing", cache, remedy=remedy)
    terms = f"licence: {offered.licence}" if offered.licence else "licence: see that page"
    return Item(need.name, "fetch", cache, offered.size, source=page(need), terms=terms)


def _local(need: Need) -> Item:
    path = need.path or Path()
    if not path.exists():
        put = f"{need.option}={path} does not exist; put it there, or set {need.option} to where it is"
        remedy = need.remedy or f"{put} (the method's page says where it is from)"
        return Item(need.name, "missing", path, remedy=remedy)
    return Item(need.name, "here", path, _size([path]) if path.is_file() else None)


def place_of(paths: Sequence[Path]) -> Path:
    """A file, or the folder of several, some of which may lie in folders of it."""
    if len(paths) == 1:
        return paths[0]
    return min((path.parent for path in paths), key=lambda folder: len(folder.parts))


def _size(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def total_lines(items: Iterable[Item]) -> list[str]:
    """How much is fetched and how much disk that takes."""
    items = list(items)
    fetched = [item for item in items if item.state == "fetch"]
    made = [item for item in items if item.state == "make"]
    if not fetched and any(item.state == "missing" for item in items):
        return ["Nothing will be fetched, and not everything is here."]
    if not fetched and not made:
        return ["Everything is here: nothing has to be fetched."]
    spare = " The archives can be deleted afterwards." if made else ""
    return [f"To fetch: {_sum(fetched)}. On disk: {_sum([*fetched, *made])}.{spare}"]


def _sum(items: Sequence[Item]) -> str:
    known = [item.size for item in items if item.size is not None]
    exact = all(item.exact and item.size is not None for item in items)
    unknown = len(items) - len(known)
    more = f", plus {unknown} {'item' if unknown == 1 else 'items'} of unknown size" if unknown else ""
    return f"{'' if exact or unknown else 'about '}{decimal(sum(known))}{more}"
