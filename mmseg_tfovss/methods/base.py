"""What every method shares: five stages from an image to its labels.

    test_step -> data_preprocessor -> predict
      look      once per image: what companion networks or the whole image say        (default: nothing)
      encode    windows, batched -> named maps on patches; with CLIP's last block = attend + residual + feed_forward
      assemble  windows -> one canvas per map: stitched (mean on pixels) or spliced (mean on patches)
      refine    image-level steps on the canvases                                      (default: PAMR, if asked for)
      label     scale, softmax over queries, largest of a class, thresholds -> class ids at the original size

A paper overrides the smallest part that it changes. How the stages are run: :mod:`.life_cycle`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmseg_tfovss.acting import SLIDING, WHOLE, Needs, above_zero
from mmseg_tfovss.encoders.clip import CLIPBlock, Projections
from mmseg_tfovss.encoders.companion import check_gives, declare
from mmseg_tfovss.encoders.preprocessor import CLIPPreprocessor
from mmseg_tfovss.encoders.pretrained import built_from
from mmseg_tfovss.encoders.stream import BlockPlugin, Keep, Stream
from mmseg_tfovss.methods.authoring import check_attended, check_has_logits
from mmseg_tfovss.methods.life_cycle import StagedSegmentor
from mmseg_tfovss.methods.options import check_common, check_mode, check_network, check_unused, read_test_cfg
from mmseg_tfovss.methods.stages import LOGITS, Maps, Refined, Scene, Seen, Windows
from mmseg_tfovss.ops.attention import Scores, attention_sum
from mmseg_tfovss.ops.canvas import Canvas
from mmseg_tfovss.ops.constants import constant
from mmseg_tfovss.ops.labels import label_pixels, majority
from mmseg_tfovss.ops.pamr import pamr_canvas
from mmseg_tfovss.registry import MODELS

_SIZE_OPTIONS = ("short_side", "centre_square", "stretch_to_square")  # the preprocessor's


class OpenVocabSegmentor(StagedSegmentor):
    """Training-free open-vocabulary segmentor: an MMSeg ``EncoderDecoder`` with nothing to train.

    Args:
        backbone: config of the frozen image tower, e.g. ``dict(type='CLIPImageEncoder', arch='ViT-B-16')``.
        decode_head: config of the text head, e.g. ``dict(type='TextHead', vocabulary='voc21')``.
        test_cfg: MMSeg's: ``dict(mode='whole')`` or ``dict(mode='slide', crop_size=224, stride=112)``, in pixels of the
            resized image; sizes are a number or (height, width).
        short_side: images are resized to it, in pixels; ``None``: they are taken as they come.
        centre_square: label the square in the middle of the resized image only, as CLIPtrase is evaluated.
        stretch_to_square: resize images to a square of ``short_side`` pixels, whatever their aspect ratio, as GEM and
            CLIP Surgery do; labels are those of the original image.
        data_preprocessor: config of the preprocessor; default: the normalisation that belongs to the weights.
        precision: ``fp32``, ``bf16`` or ``fp16`` for the linear layers of the image tower.
        window_batch: windows in one forward pass at most; bounds memory, changes nothing else.
        pad_to: pad every sliding window symmetrically with zeros to a multiple of this many pixels, or of the patch
            size (``"patch"``, ClearCLIP); ``None``: pixels beyond the last whole patch are dropped.
        whole_upsampling: in ``whole`` mode patch logits go to the original size ``direct`` (SCLIP, ClearCLIP) or
            ``two_step``, over the resized image (NACLIP).
        pamr_steps: iterations of PAMR on the full-size cosine logits; 0 switches it off.
        pamr_dilations: distances of PAMR's neighbours, in pixels.
        residual: add the last block's attention to its input; ``None``: as the method does.
        feed_forward: run the last block's feed-forward; ``None``: as the method does.
        init_cfg: MMSeg's functions pass these three on; they must be None, for nothing is initialised, loaded from a
            checkpoint or trained here.
        pretrained: likewise.
        train_cfg: likewise.

    Raises:
        ValueError: a setting out of range, or a method that is not written as it must be.
    """

    # -- what a method declares -------------------------------------------------------------------------------------

    modes: ClassVar[tuple[str, ...]] = ("whole", "slide")  # of test_cfg, that it can work in
    keeps_residual: ClassVar[bool] = True  # in the last block
    keeps_feed_forward: ClassVar[bool] = True
    gives_up_residual: ClassVar[bool] = True  # whether plug-ins leave both out by default; not where they are the idea
    fitted: ClassVar[frozenset[str]] = frozenset()  # options that authors choose by dataset or network: part of no name
    keep: Keep = Keep()  # what of the blocks is kept for ``attend`` or for what comes after them
    spliced: ClassVar[frozenset[str]] = frozenset()  # maps that are averaged on patches; all others are on pixels
    input_files: tuple[Path, ...] = ()  # that it has read, besides weights and words: part of a run's identity
    option_records: ClassVar[dict[str, type]] = {}  # dataclasses whose fields are options too, by attribute
    acts_with: ClassVar[Mapping[str, Needs]] = {  # what its options need to act; see :mod:`mmseg_tfovss.acting`
        "test_cfg.crop_size": SLIDING,
        "test_cfg.stride": SLIDING,
        "pad_to": SLIDING,
        "whole_upsampling": WHOLE,
        "pamr_dilations": above_zero("pamr_steps"),
    }
    timed_steps: tuple[str, ...] = ()  # methods that tfovss benchmark times by themselves
    complexity_steps: ClassVar[dict[str, str]] = {}  # which of these are parts of DSLO's complexity table
    label_options: frozenset[str] = frozenset()  # options that, for whole images, only refine and label read

    def __init__(
        self,
        backbone: dict[str, Any],
        decode_head: dict[str, Any],
        test_cfg: dict[str, Any],
        short_side: int | None = None,
        centre_square: bool = False,
        stretch_to_square: bool = False,
        data_preprocessor: dict[str, Any] | None = None,
        precision: str = "fp32",
        window_batch: int = 16,
        pad_to: int | str | None = None,
        whole_upsampling: str = "direct",
        pamr_steps: int = 0,
        pamr_dilations: Sequence[int] = (8, 16),
        residual: bool | None = None,
        feed_forward: bool | None = None,
        init_cfg: dict[str, Any] | None = None,
        pretrained: str | None = None,
        train_cfg: dict[str, Any] | None = None,
    ) -> None:
        check_unused({"init_cfg": init_cfg, "pretrained": pretrained, "train_cfg": train_cfg})
        common = {
            "short_side": short_side,
            "centre_square": centre_square,
            "stretch_to_square": stretch_to_square,
            "precision": precision,
            "window_batch": window_batch,
            "pad_to": pad_to,
            "whole_upsampling": whole_upsampling,
            "pamr_steps": pamr_steps,
            "pamr_dilations": pamr_dilations,
            "residual": residual,
            "feed_forward": feed_forward,
        }
        check_common(common)
        if self.has_own_last_block() and not (residual is None and feed_forward is None):
            raise ValueError(
                f"model.residual and model.feed_forward have no effect: {type(self).__name__} runs its last block in"
                " its own way (last_block)."
            )
        with DefaultScope.overwrite_default_scope("mmseg_tfovss"):
            super().__init__(
                backbone=backbone,
                decode_head=decode_head,
                test_cfg=dict(test_cfg),
                data_preprocessor=_sized(data_preprocessor, {name: common[name] for name in _SIZE_OPTIONS}),
            )
        if not isinstance(self.data_preprocessor, CLIPPreprocessor):
            raise ValueError(
                "model.data_preprocessor must be a CLIPPreprocessor or a class made from it, which resizes images and"
                f" knows their statistics, but got {type(self.data_preprocessor).__name__}."
            )
        self.data_preprocessor.follow(self.backbone.mean, self.backbone.std)
        self.data_preprocessor.keeps_original |= self.reads_original
        self.common = common
        self.mode, self.crop, self.stride = read_test_cfg(self.test_cfg)
        check_mode(self.mode, self.modes, type(self).__name__)
        self.backbone.set_precision(precision)
        self.window_batch = window_batch
        self.pad_to: int | None = self.backbone.patch_size if isinstance(pad_to, str) else pad_to
        self.whole_upsampling = whole_upsampling
        self.pamr_steps, self.pamr_dilations = pamr_steps, tuple(pamr_dilations)
        self.residual = self.keeps_residual if residual is None else residual
        self.feed_forward = self.keeps_feed_forward if feed_forward is None else feed_forward
        self.plugins: list[BlockPlugin] = []  # of others, on early blocks
        self.passes = 0  # through the blocks
        self.companions: dict[str, nn.Module] = {}
        self.eval()

    def companion(
        self, option: str, settings: Mapping[str, Any] | None, *, gives: str = "", optional: bool = False
    ) -> Any:  # noqa: ANN401 - any network
        """Build a frozen network beside CLIP and declare it; ``self.<option>`` is it from then on.

        Args:
            option: the method's option that holds its config.
            settings: the config.
            gives: what it must have: ``features``, ``graph``, ``masks``; empty: nothing in particular.
            optional: it may be None, and ``self.<option>`` is None then.

        Returns:
            The network.

        Raises:
            ValueError: no config, or one that does not make a network.
            FileNotFoundError: its weights are not on this machine.
        """
        check_network(option, settings)
        if not (settings or optional):
            raise ValueError(f"{type(self).__name__} needs a network: set model.{option}=dict(type='...').")
        network = None
        if settings:
            place = f"model.{option}"
            check_gives(place, settings, gives)
            with DefaultScope.overwrite_default_scope("mmseg_tfovss"), built_from(place):
                try:
                    network = declare(MODELS.build(dict(settings)), settings)
                except (TypeError, AttributeError) as error:
                    raise ValueError(f"{place} does not make a network: {error}.") from error
            self.companions[option] = network
        setattr(self, option, network)
        return network

    def option(self, name: str) -> Any:  # noqa: ANN401
        """What an option is, by its (dotted) name below ``model.``: an attribute, or a field of an option record."""
        record = self._record_with(name)
        return attrgetter(name)(self if record is None else getattr(self, record))

    def set_option(self, name: str, value: object) -> None:
        """Change an option that is read whenever it is needed (see ``label_options``)."""
        record = self._record_with(name)
        if record is not None:
            setattr(self, record, replace(getattr(self, record), **{name: value}))
            return
        owner, _, attribute = name.rpartition(".")
        setattr(attrgetter(owner)(self) if owner else self, attribute, value)

    def _record_with(self, name: str) -> str | None:
        names = {field.name: record for record, kind in self.option_records.items() for field in fields(kind)}
        return names.get(name)

    def networks(self) -> dict[str, nn.Module]:
        """All frozen networks by their place in the config, the image tower first."""
        return {"backbone": self.backbone, **self.companions}

    @classmethod
    def has_own_last_block(cls) -> bool:
        """Whether the method runs its last block in its own way: ``residual`` and ``feed_forward`` do not act then."""
        return cls.last_block is not OpenVocabSegmentor.last_block

    def remove_residual(self) -> None:
        """Leave residual and feed-forward out of the last block, for a plug-in that wants it.

        Raises:
            ValueError: the options say otherwise, or the method runs its last block in its own way.
        """
        if self.has_own_last_block():
            raise ValueError(
                f"model.remove_residual=True has no effect: {type(self).__name__} runs its last block in its own way"
                " (last_block). Set model.remove_residual=False."
            )
        for name in ("residual", "feed_forward"):
            if self.common[name]:
                raise ValueError(
                    f"model.{name}=True and a plug-in that leaves it out contradict each other: set"
                    " model.remove_residual=False."
                )
        self.residual = self.feed_forward = False

    # -- what papers override ---------------------------------------------------------------------------------------

    def scores(self, projections: Projections, stream: Stream) -> Sequence[Scores]:
        """What attention in the last block compares, of query, key and value: one softmax for each; CLIP's q k^T.

        A method whose attention is a sum of softmaxes says so here, and methods around it may change the scores.
        """
        query, key, _ = projections
        return [Scores(query, key)]

    def attend(self, block: CLIPBlock, tokens: Tensor, stream: Stream) -> Tensor:
        """Attention of the last block: its input (B, 1 + hw, C), class token first -> its output, the same shape."""
        projections = block.qkv(tokens)
        return block.merge_heads(attention_sum(self.scores(projections, stream), projections[2]))

    def last_block(self, block: CLIPBlock, tokens: Tensor, stream: Stream) -> Tensor:
        """The last block, ``attend`` + ``residual`` + ``feed_forward``: (B, 1 + hw, C) -> (B, 1 + hw, C)."""
        attended = self.attend(block, tokens, stream)
        check_attended(self, attended, tokens)
        return self.after_attention(block, tokens, attended)

    def after_attention(self, block: CLIPBlock, tokens: Tensor, attended: Tensor) -> Tensor:
        """The rest of the last block, of its input and its attention's output: all (B, 1 + hw, C)."""
        tokens = tokens + attended if self.residual else attended
        return tokens + block.feed_forward(tokens) if self.feed_forward else tokens

    def early_block(self, number: int, block: CLIPBlock, stream: Stream, projections: Projections | None) -> Tensor:
        """A block (number from 1) before the last one: as a plug-in runs it, or else as it was trained."""
        changed = (plugin.run_block(number, block, stream, projections) for plugin in self.plugins)
        found = next((tokens for tokens in changed if tokens is not None), None)
        return block(stream.tokens, projections) if found is None else found

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Map windows (B, 3, H, W) to patch features in text space (B, D, h, w)."""
        stream = self.run_blocks(inputs)
        return self.backbone.to_text_space(stream.tokens, stream.grid)

    def look(self, scenes: Sequence[Scene]) -> dict[str, Seen]:
        """What is seen of B whole images of one size, by name, each (B, ...) or a list; it goes into ``scene.seen``."""
        return {}

    def encode(self, windows: Windows) -> Maps:
        """Named maps (n, C, h, w) of windows; ``logits`` are cosines of the Q queries."""
        return {LOGITS: self.decode_head(self.extract_feat(windows.images))}

    def assemble(self, scene: Scene, maps: Maps) -> dict[str, Canvas]:
        """Maps (n, C, h, w) of an image's windows -> a canvas for each, on the pixels of the original image."""
        plan, direct = self.window_plan(scene.resized), self.mode == "whole" and self.whole_upsampling == "direct"
        return {
            name: plan.splice(values, scene.size)
            if name in self.spliced
            else plan.stitch(values, scene.size, direct=direct)
            for name, values in maps.items()
        }

    def refine(self, scene: Scene, canvases: Mapping[str, Canvas]) -> Refined:
        """Image-level steps: from the canvases to what is labelled."""
        check_has_logits(self, canvases)
        logits = canvases[LOGITS]
        if self.pamr_steps:
            logits = pamr_canvas(logits, scene.image, self.pamr_dilations, self.pamr_steps)
        return Refined(logits)

    def label(self, scene: Scene, refined: Refined) -> Tensor:
        """Class ids (H, W) of one image."""
        head, logits, queries = self.decode_head, refined.logits, refined.queries
        classes = self.channel_classes()
        own = refined.confidence is None  # whether the threshold looks at the logits themselves
        labels = label_pixels(
            logits,
            classes if queries is None else classes[queries],
            logit_scale=head.logit_scale,
            prob_threshold=head.prob_threshold if own else 0.0,
            area_threshold=head.area_threshold,
            num_classes=head.num_classes,
        )
        if refined.confidence is not None and head.prob_threshold:
            sure = label_pixels(
                refined.confidence,
                torch.ones_like(classes),
                logit_scale=head.logit_scale,
                prob_threshold=head.prob_threshold,
            )  # 1, or 0 below the threshold
            labels *= sure
        return labels if refined.regions is None else majority(labels, refined.regions, head.num_classes)

    def channel_classes(self) -> Tensor:
        """The class id of each channel of what ``refine`` gives: of each query, or of each class."""
        known: Tensor = self.decode_head.query_class
        return torch.arange(self.decode_head.num_classes, device=known.device) if self.of_classes else known

    # -- pieces -----------------------------------------------------------------------------------------------------

    def grey_levels(self, images: Tensor, *, unrounded: bool = False) -> Tensor:
        """Normalised images as companions take them: RGB from 0 to 255.

        Args:
            images: (B, 3, H, W) or (3, H, W).
            unrounded: undo the tower's own mean and std, where the preprocessor has those that the field rounds: what
                ProxyCLIP's code and its descendants do. It shifts pixels by 0.001 grey levels, which decides about
                patches at a threshold. Where the config gives a mean or std, these are undone.
        """
        own = self.data_preprocessor
        if not unrounded or own.given_mean or own.given_std:
            return images * own.std + own.mean
        mean, std = (
            constant(tuple(values), images.dtype, images.device)[:, None, None]
            for values in (self.backbone.mean, self.backbone.std)
        )
        return 255 * (images * std + mean)

    def decoded(self, scene: Scene) -> np.ndarray:
        """A scene's image before resizing, (H, W, 3) uint8 RGB; the network's input where only that is known."""
        if scene.original is not None:
            return np.ascontiguousarray(scene.original)
        pixels = self.grey_levels(scene.image).round().clamp(0, 255).byte()
        return np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy())

    def run_blocks(self, images: Tensor, given: Mapping[str, Tensor] | None = None) -> Stream:
        """Images (B, 3, H, W) through all blocks of the tower; ``tokens`` (B, 1 + N, C) are those behind the last one.

        Args:
            images: normalised.
            given: what ``attend`` finds in ``stream.given``.
        """
        tower = self.backbone
        self.passes += 1
        stream = Stream(images, tower.grid(images), tower.embed(images), given or {})
        self.keep.check(len(tower.blocks))
        for number, block in enumerate(tower.blocks, start=1):
            projections = stream.project(number, block, self.keep)
            if number == len(tower.blocks):
                stream.tokens = self.last_block(block, stream.tokens, stream)
            else:
                stream.tokens = self.early_block(number, block, stream, projections)
            if number < len(tower.blocks):
                for plugin in self.plugins:
                    stream.tokens = plugin.after_block(number, stream)
            if number in self.keep.tokens:
                stream.kept_tokens[number] = stream.tokens
        return stream


def _sized(preprocessor: Any, size: Mapping[str, Any]) -> Any:  # noqa: ANN401 - or the module
    """The preprocessor's config with the size of the images; what exists already, a plug-in's base has made."""
    if isinstance(preprocessor, nn.Module):
        return preprocessor
    settings = {"type": CLIPPreprocessor, **(preprocessor or {})}
    for name in size.keys() & settings.keys():
        raise ValueError(f"model.data_preprocessor.{name} has no effect: set model.{name}.")
    return settings | {name: value for name, value in size.items() if value}
