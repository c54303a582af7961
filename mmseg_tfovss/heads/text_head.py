"""Text head: a vocabulary and prompts become a classifier of patch features."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_tfovss.encoders.text import CLIPTextEncoder
from mmseg_tfovss.registry import MODELS
from mmseg_tfovss.vocabulary import load_templates, load_vocabulary
from mmseg_tfovss.vocabulary.agreement import check_background
from mmseg_tfovss.vocabulary.features import cached_features, encode_queries
from mmseg_tfovss.vocabulary.lengths import check_lengths

_LOGIT_SCALES = (1e-3, 1e6)  # beyond them the softmax is flat or one-hot in float32


@MODELS.register_module()
class TextHead(nn.Module):
    """Cosine of patch features and text features, and the rules that turn full-size logits into labels.

    Args:
        vocabulary: a bundled name, a text file, or lines: one class a line, synonyms separated by ", ".
        background: words of class 0, put in front of the vocabulary; ``None`` when it has them already or has none.
        templates: a template set of :mod:`mmseg_tfovss.vocabulary.templates`.
        subtracted_text: a text, the empty one too, whose feature is taken off that of every query (CLIP Surgery, for
            words without others beside them); ``None``: nothing is.
        logit_scale: factor on the cosines before the softmax over queries. In [0.001, 1000000].
        prob_threshold: pixels whose best class probability is lower become class 0; 0 switches it off. In [0, 1].
        area_threshold: classes other than 0 with a smaller share of all pixels not labelled 0 are removed from the
            image (SCLIP on VOC21); ``None`` or 0 switches it off. In [0, 1].
        cache_dir: folder of cached text features; ``None`` = the user's cache folder.

    Raises:
        ValueError: a setting out of range, an unknown name, a vocabulary that cannot be used, or a threshold for a
            bundled list whose class 0 is no background.
    """

    # MMSeg's EncoderDecoder reads these three names from its head.
    align_corners = False

    def __init__(
        self,
        vocabulary: str | Sequence[str],
        background: str | Sequence[str] | None = None,
        templates: str = "imagenet80",
        subtracted_text: str | None = None,
        logit_scale: float = 40.0,
        prob_threshold: float = 0.0,
        area_threshold: float | None = None,
        cache_dir: str | None = None,
    ) -> None:
        super().__init__()
        _check_range("logit_scale", logit_scale, *_LOGIT_SCALES)
        self.vocabulary = load_vocabulary(vocabulary, background)
        self.templates = load_templates(templates)
        if not isinstance(subtracted_text, str | None):
            raise ValueError(f"model.decode_head.subtracted_text must be a text or None, but got {subtracted_text!r}.")
        self.subtracted_text = subtracted_text
        self.logit_scale = float(logit_scale)
        self.prob_threshold, self.area_threshold = prob_threshold, area_threshold
        self.cache_dir = Path(cache_dir) if cache_dir else None
        self.num_classes = len(self.vocabulary.classes)
        self.out_channels = len(self.vocabulary.queries)
        self.register_buffer("query_class", torch.tensor(self.vocabulary.query_class))
        self.register_buffer("text_features", torch.empty(0))  # (Q, D) once set
        self.text_features: Tensor
        self.query_class: Tensor

    @property
    def prob_threshold(self) -> float:
        """Pixels whose best class probability is lower become class 0; 0: none does."""
        return self._prob_threshold

    @prob_threshold.setter
    def prob_threshold(self, value: float | None) -> None:
        self._prob_threshold = self._checked("prob_threshold", value)

    @property
    def area_threshold(self) -> float:
        """Classes other than 0 with a smaller share of the pixels that are not 0 are removed; 0: none is."""
        return self._area_threshold

    @area_threshold.setter
    def area_threshold(self, value: float | None) -> None:
        self._area_threshold = self._checked("area_threshold", value)

    def _checked(self, name: str, value: float | None) -> float:
        """A threshold, refused out of range and where class 0 is known to be no background."""
        _check_range(name, value or 0.0, 0.0, 1.0)
        check_background(self.vocabulary, name, value)
        return float(value or 0.0)

    @property
    def ready(self) -> bool:
        """Whether the text features have been set."""
        return self.text_features.numel() > 0

    @torch.inference_mode(mode=False)
    def set_text_features(self, encoder: CLIPTextEncoder, weights_hash: str) -> None:
        """Fill the classifier, from the disk cache if it is there.

        Args:
            encoder: the text tower; it is moved to this head's device.
            weights_hash: identifies the text tower in the cache.

        Raises:
            ValueError: a prompt with more tokens than the text tower reads.
        """
        self.text_features = self.features_by(encoder, weights_hash).clone().to(self.query_class.device)

    @torch.inference_mode(mode=False)
    def features_by(self, encoder: CLIPTextEncoder, weights_hash: str) -> Tensor:
        """Features (Q, D) of the queries by any text tower, as a classifier needs them; see :meth:`set_text_features`.

        Raises:
            ValueError: a prompt with more tokens than the text tower reads.
        """
        check_lengths(self.vocabulary, self.templates, encoder)
        tower = f"{weights_hash}, {encoder.variant}"
        features = self._features_of(self.vocabulary.queries, encoder, tower)
        if self.subtracted_text is not None:
            features = features - self._features_of((self.subtracted_text,), encoder, tower)
        return features

    def _features_of(self, texts: Sequence[str], encoder: CLIPTextEncoder, tower: str) -> Tensor:
        """Unit features of texts in the templates, (T, D), from the disk cache if they are there."""

        def encode() -> Tensor:
            encoder.to(self.query_class.device)
            return encode_queries(encoder, texts, self.templates)

        return cached_features(encode, tower, texts, self.templates, self.cache_dir)

    def forward(self, features: Tensor) -> Tensor:
        """Cosine logits (B, Q, h, w) of patch features (B, D, h, w), less the subtracted text's."""
        text = self.text_features.to(features.dtype)
        return torch.einsum("bdhw,qd->bqhw", F.normalize(features, dim=1), text)


def _check_range(name: str, value: float, low: float, high: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        raise ValueError(f"model.decode_head.{name} must lie in [{low:g}, {high:g}], but got {value!r}.")
