"""For methods around another one: all five stages are the other one's, and some of them are changed."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.methods.authoring import check_maps, check_refined, check_seen
from mmseg_tfovss.methods.base import OpenVocabSegmentor
from mmseg_tfovss.methods.life_cycle import StagedSegmentor
from mmseg_tfovss.methods.options import check_network
from mmseg_tfovss.methods.stages import Maps, Refined, Scene, Seen, Windows
from mmseg_tfovss.ops.canvas import Canvas, Size
from mmseg_tfovss.ops.windows import Place, WindowPlan
from mmseg_tfovss.registry import MODELS

# Steps on the way through CLIP, with all that comes between its image and its maps.
_THROUGH_CLIP = ("encode", "extract_feat", "run_blocks", "early_block", "last_block", "after_attention", "attend")


class AroundMethod(OpenVocabSegmentor):
    """Another method, whose networks, windows and words this one shares.

    Args:
        base: config of the other method, without backbone, head and test_cfg, e.g. ``dict(type='SCLIP')``.
        backbone: see :class:`OpenVocabSegmentor`.
        decode_head: likewise.
        test_cfg: likewise.
        **kwargs: likewise; they are the base's too.

    Raises:
        ValueError: ``base`` is no method's config, or has an option that is to stand beside it.
    """

    def __init__(
        self,
        *,
        base: Mapping[str, Any],
        backbone: dict[str, Any],
        decode_head: dict[str, Any],
        test_cfg: dict[str, Any],
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        own = {"backbone": backbone, "decode_head": decode_head, "test_cfg": test_cfg}
        base = _checked_base(base, own, kwargs)
        with DefaultScope.overwrite_default_scope("mmseg_tfovss"), _names_of_a_base(base):
            method: OpenVocabSegmentor = MODELS.build({**base, **kwargs, **own})
        super().__init__(
            backbone=_share(method.backbone),
            decode_head=_share(method.decode_head),
            test_cfg=test_cfg,
            **{**kwargs, **method.common, "data_preprocessor": method.data_preprocessor},
        )
        self.base = method
        self.reads_truth, self.logit_factor = method.reads_truth, method.logit_factor
        self.labels_in_threads, self.of_classes = method.labels_in_threads, method.of_classes
        self.reads_original = method.reads_original
        self.timed_steps = (*self.timed_steps, *(f"base.{name}" for name in method.timed_steps))
        self.label_options = self.label_options | {f"base.{name}" for name in method.label_options}

    def option(self, name: str) -> Any:  # noqa: ANN401
        """See :meth:`OpenVocabSegmentor.option`; ``base.<name>`` is the base's."""
        own = name.removeprefix("base.")
        return super().option(name) if own == name else self.base.option(own)

    def set_option(self, name: str, value: object) -> None:
        """See :meth:`OpenVocabSegmentor.set_option`."""
        own = name.removeprefix("base.")
        (super().set_option if own == name else self.base.set_option)(own, value)

    def check_words(self, head: Any) -> None:  # noqa: ANN401 - a text head
        """Those that the base refuses."""
        self.base.check_words(head)

    def use_head(self, head: Any) -> None:  # noqa: ANN401 - a text head
        """See :meth:`StagedSegmentor.use_head`; the base has the same head."""
        super().use_head(head)
        self.base.use_head(head)

    def networks(self) -> dict[str, nn.Module]:
        """The base's, and what this method has beside them."""
        base = {name if name == "backbone" else f"base.{name}": part for name, part in self.base.networks().items()}
        return {**base, **self.companions}

    def window_plan(self, size: Size) -> WindowPlan:
        """The base's windows."""
        return self.base.window_plan(size)

    def look(self, scenes: Sequence[Scene]) -> dict[str, Seen]:
        """What the base sees."""
        seen = self.base.look(scenes)
        check_seen(self.base, seen, len(scenes))
        return seen

    def run_blocks(self, images: Tensor, given: Mapping[str, Tensor] | None = None) -> Stream:
        """The base's way through the blocks."""
        return self.base.run_blocks(images, given)

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """The base's features."""
        return self.base.extract_feat(inputs)

    def encode(self, windows: Windows) -> Maps:
        """The base's maps.

        Raises:
            ValueError: it has plug-ins on its blocks, and runs them elsewhere.
        """
        before = self.base.passes
        maps = self.base.encode(windows)
        if self.base.plugins and self.base.passes == before:
            raise ValueError(
                f"{type(self).__name__} acts on the blocks that a method runs with run_blocks, which"
                f" {type(self.base).__name__}.encode does not call: it would have no effect."
            )
        check_maps(self.base, maps, len(windows.images))
        return maps

    def assemble(self, scene: Scene, maps: Maps) -> dict[str, Canvas]:
        """The base's canvases."""
        return self.base.assemble(scene, maps)

    @property
    def refiner(self) -> StagedSegmentor:
        """See :attr:`StagedSegmentor.refiner`."""
        return self.base.refiner if type(self).refine is AroundMethod.refine else self

    def refine(self, scene: Scene, canvases: Mapping[str, Canvas]) -> Refined:
        """The base's refinement."""
        refined = self.base.refine(scene, canvases)
        check_refined(self.base, refined, scene.size)
        return refined

    def label(self, scene: Scene, refined: Refined) -> Tensor:
        """The base's labels."""
        return self.base.label(scene, refined)

    def patch_logits(
        self, inputs: Tensor, scenes: Sequence[Scene] | None = None, places: Sequence[Place] = ()
    ) -> Tensor:
        """The base's, as it states them."""
        return self.base.patch_logits(inputs, scenes, places)


def from_outside_in(method: OpenVocabSegmentor) -> Iterator[OpenVocabSegmentor]:
    """A method, its base, the base's base, and so on."""
    yield method
    while isinstance(method, AroundMethod):
        method = method.base
        yield method


def method_class(settings: object) -> type[OpenVocabSegmentor] | None:
    """The class of a method's config; None if it is no such config."""
    name = settings.get("type") if isinstance(settings, Mapping) else None
    kind = MODELS.get(name) if isinstance(name, str) else name
    return kind if isinstance(kind, type) and issubclass(kind, OpenVocabSegmentor) else None


def check_runs_blocks(outer: str, base: object) -> None:
    """Raise ValueError for a base that leaves CLIP's blocks to another method, around which ``outer`` can be put."""
    kind = method_class(base)
    if kind is not None and kind.run_blocks is AroundMethod.run_blocks:
        raise ValueError(
            f"model.base must be a method that runs CLIP's blocks itself, but {kind.__name__} is around another one:"
            f" put {outer} inside it, as its base."
        )


def check_scores_only(outer: str, base: object) -> None:
    """Raise ValueError unless all that a base changes on the way through CLIP is the ``scores`` of the last block."""
    check_runs_blocks(outer, base)
    kind = method_class(base)
    changed = [] if kind is None else _own_ways(kind)
    if kind is not None and changed:
        kinds = {name: method_class({"type": name}) for name in sorted(MODELS.module_dict)}
        fitting = [name for name, other in kinds.items() if other is not None and not _own_ways(other)]
        raise ValueError(
            f"model.base must be a method that says in `scores` what its last block attends by, and changes nothing"
            f" else on the way through CLIP ({', '.join(fitting)}), but {kind.__name__} has its own"
            f" {' and '.join(changed)}."
        )


def _own_ways(kind: type[OpenVocabSegmentor]) -> list[str]:
    return [name for name in _THROUGH_CLIP if getattr(kind, name) is not getattr(OpenVocabSegmentor, name)]


def _checked_base(base: object, own: Mapping[str, Any], beside: Mapping[str, Any]) -> dict[str, Any]:
    check_network("base", base)
    if not isinstance(base, Mapping) or method_class(base) is None:
        raise ValueError(f"model.base must be the config of another method, e.g. dict(type='SCLIP'), but got {base!r}.")
    twice = sorted(base.keys() & own.keys())
    if twice:
        raise ValueError(f"model.base.{twice[0]} has no effect: set model.{twice[0]}, which a base shares.")
    for name in sorted(base.keys() & beside.keys()):
        if base[name] != beside[name]:
            raise ValueError(
                f"model.base.{name}={base[name]!r} and model.{name}={beside[name]!r} contradict each other: set"
                f" model.{name} alone."
            )
    return dict(base)


@contextmanager
def _names_of_a_base(base: Mapping[str, Any]) -> Iterator[None]:
    """Call options by their place in the whole config: a base takes its own for ``model.<name>``.

    Of those that all methods share, only what the base's config names is its own.
    """
    shared = inspect.signature(OpenVocabSegmentor.__init__).parameters.keys() - base.keys()

    def placed(found: re.Match[str]) -> str:
        return found[0] if found[1] in shared else f"model.base.{found[1]}"

    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        said = re.sub(r"\bmodel\.([a-z]\w*)", placed, str(error))
        raise (FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError)(said) from error


def _share(module: nn.Module) -> dict[str, Any]:
    """A config that gives a module that exists already."""
    return {"type": _given, "module": module}


def _given(module: nn.Module) -> nn.Module:
    return module
