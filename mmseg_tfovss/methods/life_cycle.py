"""How the five stages of a method are run, and what MMSegmentation calls: batches, windows, and labels in samples."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_tfovss.deferred import checked_at_the_end
from mmseg_tfovss.methods.authoring import (
    Checked,
    check_finite,
    check_maps,
    check_not_tiny,
    check_refined,
    check_seen,
    named_nan,
    noted,
)
from mmseg_tfovss.methods.stages import LOGITS, Assembly, Maps, Refined, Scene, Seen, Windows
from mmseg_tfovss.ops.canvas import Canvas, Size
from mmseg_tfovss.ops.colours import pascal_colours
from mmseg_tfovss.ops.oracle import label_map
from mmseg_tfovss.ops.threads import work_in_threads
from mmseg_tfovss.ops.windows import Place, WindowPlan


class StagedSegmentor(EncoderDecoder, metaclass=Checked):
    """An ``EncoderDecoder`` whose inference is five stages, which a subclass gives."""

    mode: str  # whole | slide
    crop: Size
    stride: Size
    pad_to: int | None
    window_batch: int
    reads_truth: bool = False  # an oracle: scenes bring their labels along
    reads_original: bool = False  # scenes bring the image along as it was before resizing
    logit_factor: float = 1.0  # of exported logits, relative to cosines
    votes: bool = False  # whether labels come from a vote of regions' pixels, so that no logits say all
    votes_off: str = ""  # the option and value with which it does not
    of_classes: bool = False  # whether ``refine`` gives scores of classes, whose queries it has merged
    labels_in_threads: bool = False  # refine and label are work of the CPU, done while the network takes more images

    def look(self, scenes: Sequence[Scene]) -> dict[str, Seen]:
        """See :meth:`mmseg_tfovss.methods.base.OpenVocabSegmentor.look`, and likewise the other four."""
        raise NotImplementedError

    def encode(self, windows: Windows) -> Maps:
        """Windows -> maps."""
        raise NotImplementedError

    def assemble(self, scene: Scene, maps: Maps) -> dict[str, Canvas]:
        """Maps -> canvases."""
        raise NotImplementedError

    def refine(self, scene: Scene, canvases: Mapping[str, Canvas]) -> Refined:
        """Canvases -> what is labelled."""
        raise NotImplementedError

    def label(self, scene: Scene, refined: Refined) -> Tensor:
        """What is labelled -> class ids."""
        raise NotImplementedError

    # -- MMSeg's life cycle -----------------------------------------------------------------------------------------

    @property
    def cfg(self) -> Any:  # noqa: ANN401 - MMEngine's Config
        """The whole config, where one of MMSegmentation's or MMEngine's functions has built the model."""
        return self.__dict__.get("_cfg")

    @cfg.setter
    def cfg(self, config: Any) -> None:  # noqa: ANN401
        """Keep it, and take up what stands in it outside of ``model`` for the model: ``short_side``."""
        self.__dict__["_cfg"] = config
        if config is not None and "short_side" in config:
            self.data_preprocessor.short_side = config.short_side

    @property
    def dataset_meta(self) -> dict[str, Any]:
        """Names and colours of the classes, for MMSegmentation's pictures: of the words that the model has."""
        names = self.decode_head.vocabulary.shown_names
        return {"classes": names, "palette": pascal_colours(len(names))}

    @dataset_meta.setter
    def dataset_meta(self, meta: object) -> None:
        """Leave it: without a checkpoint, MMSegmentation would call the classes those of Cityscapes."""

    @torch.inference_mode()
    def predict(
        self, inputs: Tensor | Sequence[Tensor], data_samples: Sequence[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Label images. With ``labels_in_threads``, ``window_batch`` of them at a time go through the network.

        Args:
            inputs: normalised images, (B, 3, H, W) or a sequence of (3, H, W) of any sizes.
            data_samples: their metadata, of which ``ori_shape`` is used; without it the input's size is the original.

        Returns:
            One data sample per image with ``pred_sem_seg`` (1, H, W), class ids at the original size.
        """
        if data_samples is None:
            data_samples = [SegDataSample(metainfo={"ori_shape": image.shape[-2:]}) for image in inputs]
        with checked_at_the_end():  # a GPU waits once for a batch
            return self._labelled(inputs, data_samples)

    def _labelled(
        self, inputs: Tensor | Sequence[Tensor], data_samples: Sequence[SegDataSample]
    ) -> list[SegDataSample]:
        if not self.labels_in_threads:
            return self.postprocess_result(self.inference_of(inputs, data_samples), data_samples)
        step = self.window_batch
        parts = [slice(start, start + step) for start in range(0, len(data_samples), step)]
        batches = (self.inference_of(inputs[part], data_samples[part]) for part in parts)
        labels = work_in_threads(self.labels_of, batches)
        for sample, found in zip(data_samples, labels, strict=True):
            sample.set_data({"pred_sem_seg": PixelData(data=found[None])})
        return list(data_samples)

    def inference_of(self, inputs: Tensor | Sequence[Tensor], data_samples: Sequence[SegDataSample]) -> list[Assembly]:
        """:meth:`inference`, with what oracles read of the samples."""
        metas = [sample.metainfo for sample in data_samples]
        if not self.reads_truth:
            return self.inference(inputs, metas)
        truths = [sample.gt_sem_seg.data if "gt_sem_seg" in sample else None for sample in data_samples]
        return self.inference(inputs, metas, truths)

    @torch.inference_mode()
    def inference(
        self,
        inputs: Tensor | Sequence[Tensor],
        batch_img_metas: Sequence[dict[str, Any]],
        truths: Sequence[Tensor | None] | None = None,
    ) -> list[Assembly]:
        """Look, encode and assemble: every image with its canvases at its own ``ori_shape``, before refinement.

        Args:
            inputs: normalised images (3, H, W) of any sizes.
            batch_img_metas: with ``ori_shape``, ``img_path`` for messages, and ``original`` for methods that read it.
            truths: labels (1, H, W), for oracles.
        """
        self.prepare()
        scenes = []
        for index, (image, meta) in enumerate(zip(inputs, batch_img_metas, strict=True)):
            check_not_tiny(meta, self.backbone.patch_size)
            size = (int(meta["ori_shape"][0]), int(meta["ori_shape"][1]))
            labels = truths[index] if truths else None
            truth = None if labels is None else label_map(labels, image)
            original = meta.get("original") if self.reads_original else None
            scenes.append(Scene(image, size, str(meta.get("img_path", "")), truth, original=original))
        scenes = self.see(scenes)
        maps = self.encode_scenes(scenes)
        return [Assembly(scene, self.assemble(scene, own)) for scene, own in zip(scenes, maps, strict=True)]

    def postprocess_result(
        self, assemblies: Sequence[Assembly], data_samples: Sequence[SegDataSample]
    ) -> list[SegDataSample]:
        """Refine, label and store: every sample gets ``pred_sem_seg`` (1, H, W) at its original size."""
        for assembly, sample in zip(assemblies, data_samples, strict=True):
            sample.set_data({"pred_sem_seg": PixelData(data=self.labels_of(assembly)[None])})
        return list(data_samples)

    @torch.inference_mode()
    def labels_of(self, assembly: Assembly, refined: Refined | None = None) -> Tensor:
        """Refine (unless that is done) and label one image: class ids (H, W)."""
        with named_nan(self.refiner, assembly.scene), noted(assembly.scene):
            return self.label(assembly.scene, refined or self.refined(assembly))

    @property
    def refiner(self) -> "StagedSegmentor":
        """The method whose ``refine`` this is: itself, unless it is around another one and leaves that alone."""
        return self

    def refined(self, assembly: Assembly) -> Refined:
        """Refine one image."""
        found = self.refine(assembly.scene, assembly.canvases)
        check_refined(self, found, assembly.scene.size)
        return found

    @torch.inference_mode()
    def dense_logits(self, assembly: Assembly, refined: Refined | None = None) -> Tensor:
        """Refined logits (Q, H, W) of one image at its original size, as the method states them; -inf if rejected.

        Of a method ``of_classes``, scores (C, H, W).
        """
        refined = refined or self.refined(assembly)
        dense = self.logit_factor * refined.logits.dense()
        if refined.queries is None:
            return dense
        whole = dense.new_full((self.decode_head.out_channels, *refined.logits.size), -torch.inf)
        whole[refined.queries] = dense
        return whole

    def patch_logits(
        self, inputs: Tensor, scenes: Sequence[Scene] | None = None, places: Sequence[Place] = ()
    ) -> Tensor:
        """Logits on the patch grid (B, Q, h, w) of windows (B, 3, H, W), as the method states them.

        Args:
            inputs: windows of one size.
            scenes: the images that they are of; ``None``: each is an image of its own.
            places: where they lie in these, see :class:`Windows`.
        """
        if scenes is None:
            scenes = self.see([Scene(image, (image.shape[-2], image.shape[-1])) for image in inputs])
        maps = self.encode(Windows(inputs, scenes, places=places))
        if LOGITS not in maps:
            raise ValueError(f"{type(self).__name__} has no logits of single windows: its refine makes them of images.")
        return self.logit_factor * maps[LOGITS]

    def encode_decode(self, inputs: Tensor, batch_img_metas: Sequence[dict[str, Any]] | None = None) -> Tensor:
        """MMSeg's: logits (B, Q, H, W) at the size of the inputs (B, 3, H, W), taken as one window each."""
        self.prepare()
        return F.interpolate(self.patch_logits(inputs), size=inputs.shape[-2:], mode="bilinear", align_corners=False)

    def slide_inference(self, inputs: Tensor, batch_img_metas: Sequence[dict[str, Any]] | None = None) -> Tensor:
        """MMSeg's: logits (B, Q, H, W) at the size of the inputs, averaged over the windows of ``test_cfg``."""
        size = {"ori_shape": inputs.shape[-2:]}
        found = self.inference(inputs, [size] * len(inputs))
        return torch.stack(
            [one.canvases[LOGITS].dense() if LOGITS in one.canvases else self.dense_logits(one) for one in found]
        )

    whole_inference = slide_inference

    def loss(self, *args: object, **kwargs: object) -> NoReturn:
        """Raise: there is nothing to train."""
        raise NotImplementedError(f"{type(self).__name__} is training-free: it has no loss.")

    def _forward(self, inputs: Tensor, data_samples: object = None) -> Tensor:
        return self.encode_decode(inputs)

    # -- pieces -----------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Compute (or read from the cache) the text features, once."""
        if not self.decode_head.ready:
            self.decode_head.set_text_features(self.backbone.pop_text_encoder(), self.backbone.weights_hash)

    def use_head(self, head: Any) -> None:  # noqa: ANN401 - a text head
        """Label with the words of another text head from now on; all networks stay.

        Args:
            head: a :class:`~mmseg_tfovss.heads.text_head.TextHead` on this method's device.

        Raises:
            ValueError: words that the method cannot label with; it keeps those that it had.
        """
        self.check_words(head)
        self.decode_head = head
        self.num_classes, self.out_channels = head.num_classes, head.out_channels

    def check_words(self, head: Any) -> None:  # noqa: ANN401 - a text head
        """Refuse words that the method cannot label with, those of the config and those that come later."""

    def window_plan(self, size: Size) -> WindowPlan:
        """The windows of a resized image of this size."""
        if self.mode == "whole":
            return WindowPlan.whole(size)
        return WindowPlan.slide(size, self.crop, self.stride, self.pad_to)

    def see(self, scenes: Sequence[Scene]) -> list[Scene]:
        """The scenes with what :meth:`look` finds in them; images of one size share a call."""
        seen: list[dict[str, Any]] = [{} for _ in scenes]
        for chosen in self._batches([scene.image for scene in scenes]):
            found = self.look([scenes[index] for index in chosen])
            check_seen(self, found, len(chosen))
            for name, values in found.items():
                for index, value in zip(chosen, values, strict=True):
                    seen[index][name] = value
        return [replace(scene, seen=own) for scene, own in zip(scenes, seen, strict=True)]

    def encode_scenes(self, scenes: Sequence[Scene]) -> list[Maps]:
        """The maps (n, C, h, w) of the n windows of each image; windows of one size share forward passes."""
        owners: list[Scene] = []
        images: list[Tensor] = []
        truths: list[Tensor | None] = []
        places: list[Place] = []
        for scene in scenes:
            plan = self.window_plan(scene.resized)
            owners += [scene] * plan.count
            places += plan.places
            images += plan.cut(scene.image)
            truths += plan.cut(scene.truth[None]) if scene.truth is not None else [None] * plan.count
        encoded: list[Maps] = [{} for _ in images]
        for chosen in self._batches(images):
            known = [truth for index in chosen if (truth := truths[index]) is not None]
            windows = Windows(
                images=torch.stack([images[index] for index in chosen]),
                scenes=[owners[index] for index in chosen],
                truth=torch.cat(known) if len(known) == len(chosen) else None,
                places=[places[index] for index in chosen],
            )
            maps = self.encode(windows)
            check_maps(self, maps, len(chosen))
            for name, values in maps.items():
                for index, value in zip(chosen, values, strict=True):
                    encoded[index][name] = value
        rest = iter(encoded)
        by_scene = [[next(rest) for _ in range(self.window_plan(scene.resized).count)] for scene in scenes]
        maps_of = [{name: torch.stack([maps[name] for maps in own]) for name in own[0]} for own in by_scene]
        check_finite(self, maps_of, scenes)
        return maps_of

    def _batches(self, images: Sequence[Tensor]) -> Iterator[list[int]]:
        """Numbers of images of one size, at most ``window_batch`` at a time."""
        by_size: dict[torch.Size, list[int]] = defaultdict(list)
        for index, image in enumerate(images):
            by_size[image.shape].append(index)
        for indices in by_size.values():
            for start in range(0, len(indices), self.window_batch):
                yield indices[start : start + self.window_batch]
