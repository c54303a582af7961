"""CASS: distil the spectral graph of a second network into CLIP's attention. Kim et al., CVPR 2025, arXiv:2411.17150.

Official code: MICV-yonsei/CASS @ 228ecdd (arch='reduced', attn_strategy='spectral', PAMR off).

Last block, on the patches of a window alone (N of them, per head; no class token in this attention):
    x^C, x^D   keys of CLIP and of DINO, the latter resized to CLIP's grid and mapped to the range of the former
    G = x x^T / sqrt(d)                                 both graphs, (heads, N, N);   spectra a: 20 largest eigenvalues
    W_ij = |a^D_i / sum - a^C_j / sum|_1                of DINO's head i and CLIP's head j
    pi = one-to-one matching with the largest sum of W_i,pi(i): heads that complement each other
    D = U diag(phi(s)) U^T                              of low rank, diagonal 0, mapped to the range of G^C;
        phi(s) = (s - min s) / (max s - min s) (1.5 max s - 0.5 min s) + 0.5 min s          (``eigenscaling``)
    A = softmax((10 W D + G^C) / (10 W + 1) + Omega),   Omega as in NACLIP
    x = out_proj(A v)                                   (no residual, no feed-forward)
Then the classes present (ops/presence.py), v of CLIP's class token as it was trained:
    g = cos(v, T);   T' = T, but in each cluster of texts (Ward) the one with the largest g moved to its two patches
    logits = (1 - gamma) F T'^T + gamma g

``official_quirks`` (the default, and what the published numbers were made with):
    * DINO sees a window through ImageNet's statistics in place of CLIP's, blue with a standard deviation of 0.255, cut
      off to whole grey levels and squeezed to a square: less contrast. Without: the window as it is.
    * CLIP's head i takes the graph of DINO's head pi(i) with the weight of the pair (DINO's i, CLIP's pi(i)), so a
      matched pair meets only where pi is its own inverse. Without: every CLIP head takes the graph matched to it.
    * The rank is 10 throughout: "95 % of the energy" is measured relative to the ten singular values that were
      computed. Without: relative to all of them.

Deviations: the rank-10 decomposition is exact by default; the official one is randomised without a seed and moves
logits by about 1e-3. ``svd="randomised"`` does the same from a seed, with the same random directions in every window;
those of the first window are torch's after ``manual_seed``. Nothing N x N is decomposed: keys have d channels, so that
d x d will do. Eigenvalues of equal size are scaled to 1.5 times theirs, where the code divides by 0.
Ties: where two heads of DINO have steeper spectra than two of CLIP, both ways of matching them have the same sum, and
the last digit of W in float32 decides, here as in the code. Two machines, or batches on a GPU, may then differ in a
window; with ``match_margin`` they do not, but we and the code may. For the last digit's sake, DINO's attention on up to
1,024 patches is computed as in the code; on more it is fused, which keeps no N x N tensors.
[open] ViT-L/14 has 16 heads, and the code knows no network beside it: the configs take DINOv2-L with registers.
"""

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_tfovss.checks import is_number
from mmseg_tfovss.encoders.clip import CLIPBlock, CLIPImageEncoder, Grid
from mmseg_tfovss.encoders.dino import DINO_MEAN, FrozenViT
from mmseg_tfovss.encoders.preprocessor import in_grey_levels
from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.methods.options import check_choice, read_own
from mmseg_tfovss.methods.presence import CLASS_TOKEN, Presence
from mmseg_tfovss.ops.attention import gaussian_neighbourhood
from mmseg_tfovss.ops.canvas import Size
from mmseg_tfovss.ops.constants import constant
from mmseg_tfovss.ops.grey_levels import resize_grey_levels
from mmseg_tfovss.ops.spectral import (
    fit_range,
    graph_eigenvalues,
    graph_eigenvectors,
    graph_of,
    largest,
    low_rank_svd,
    match_farthest,
    rank_by_energy,
    rescale_spectrum,
    spectral_distances,
)
from mmseg_tfovss.registry import MODELS

_MIXED_UP_STD = (0.229, 0.224, 0.255)  # of the official code's way back from normalised images; blue's should be 0.225
_Own = dict[object, dict[str, Any]]
_OF_QUIRKS: _Own = {True: {"rank": 10}, False: {"energy": 0.95}}
_OF_STRATEGY: _Own = {
    "spectral": {"spectrum": 20, "match_margin": None, "strength": 10.0, "eigenscaling": True},
    "sequential": {},
}
_MARGINS = {True: 0.0, False: 1e-3}
_OF_SVD: _Own = {"exact": {}, "randomised": {"seed": 0}}
_ENTRIES = 1 << 25  # of graphs that are held at a time
_EXACT_PATCHES = 1024  # of DINO, up to which its attention is computed step by step, as the code does


def grey_levels_of_code(images: Tensor) -> Tensor:
    """Normalised images (B, 3, H, W) as the official code shows them to DINO: whole grey levels of less contrast."""
    # Rounded to the last digit as by torchvision's Normalize with the mean -mean / std and the deviation 1 / std.
    shifts = tuple(level / 255 / std for level, std in zip(DINO_MEAN, _MIXED_UP_STD, strict=True))
    scales = tuple(1 / std for std in _MIXED_UP_STD)
    offset, scale = (constant(values, images.dtype, images.device) for values in (shifts, scales))
    return ((images + offset[:, None, None]) / scale[:, None, None] * 255).floor_().clamp_(0, 255)


@MODELS.register_module()
class CASS(Presence):
    """Attend by CLIP's keys and by the low-rank graph of another network's, and heed the classes present.

    Args:
        vfm: config of the second network, e.g. ``dict(type='DINO', pretrained='facebook/dino-vitb8')``, with as many
            heads as CLIP.
        vfm_side: the network sees windows as squares of so many pixels (the code's DINOv2: 518); ``None``: at their
            own size, or at their shorter side with ``official_quirks``.
        strategy: ``spectral``, the paper's, or ``sequential``: heads in their order, with D = U diag(s) U^T and
            (D + G^C) / 2.
        spectrum: eigenvalues that are compared; of ``spectral`` only, where ``None`` is 20.
        match_margin: of sums of W, >= 0, below which heads stay in their order, so that no last digit decides;
            likewise, where ``None`` is 0 with ``official_quirks`` and 0.001 without.
        strength: factor of W, >= 0; likewise, 10.
        eigenscaling: phi; likewise, True. The code leaves it out on VOC20 and Cityscapes.
        rank: of D, with ``official_quirks``, where ``None`` is 10.
        energy: share of the eigenvalues' sum that D keeps, in (0, 1], without them, where ``None`` is 0.95.
        svd: ``exact``, or ``randomised`` as in the code, which needs a rank.
        seed: of ``randomised``, where ``None`` is 0.
        sigma: standard deviation of Omega in patches, > 0; ``None`` leaves it out.
        gamma: share of the presence prior in the logits, in [0, 1]; 0 leaves it out.
        alpha: share of patches in adjusted texts, in [0, 1]; 0 leaves texts as they are.
        t: cosine distance at which the tree of texts is cut into clusters, >= 0.
        linkage: of that tree: ``ward``, or ``complete`` as in RF-CLIP.
        prior_from: the prior is of the whole ``image`` (one more pass), or of each ``window`` (Cityscapes). With whole
            images the two are the same.
        presence: config of a second CLIP that gives g with its own texts (the code's ``scale_up``), e.g.
            ``dict(type='CLIPImageEncoder', arch='ViT-L-14', pretrained='openai')``; ``None``: the same CLIP.
        official_quirks: see above.
        whole_upsampling: as in the official code, over the resized image.
        **kwargs: see :class:`OpenVocabSegmentor`.

    Raises:
        ValueError: a setting out of range or without effect, or a network that does not fit.
        FileNotFoundError: weights that are not on this machine.
    """

    fitted = frozenset({"gamma", "alpha", "t", "prior_from", "eigenscaling"})

    def __init__(
        self,
        *,
        vfm: dict[str, Any],
        vfm_side: int | None = None,
        strategy: str = "spectral",
        spectrum: int | None = None,
        match_margin: float | None = None,
        strength: float | None = None,
        eigenscaling: bool | None = None,
        rank: int | None = None,
        energy: float | None = None,
        svd: str = "exact",
        seed: int | None = None,
        sigma: float | None = 5.0,
        gamma: float = 0.25,
        alpha: float = 0.03,
        t: float = 0.1,
        linkage: str = "ward",
        prior_from: str = "image",
        presence: dict[str, Any] | None = None,
        official_quirks: bool = True,
        whole_upsampling: str = "two_step",
        **kwargs: object,
    ) -> None:
        super().__init__(
            gamma=gamma,
            alpha=alpha,
            t=t,
            linkage=linkage,
            prior_from=prior_from,
            whole_upsampling=whole_upsampling,
            **kwargs,
        )
        ways = {"spectrum": spectrum, "match_margin": match_margin, "strength": strength}
        ways |= {"eigenscaling": eigenscaling}
        settings = {
            **read_own("strategy", strategy, _OF_STRATEGY, ways),
            **read_own("official_quirks", official_quirks, _OF_QUIRKS, {"rank": rank, "energy": energy}),
            **read_own("svd", svd, _OF_SVD, {"seed": seed}),
        }
        _check_settings({"vfm_side": vfm_side, "sigma": sigma, **settings})
        if svd == "randomised" and not official_quirks:
            raise ValueError("model.svd='randomised' needs a rank, and model.official_quirks=False has none.")
        self.strategy, self.svd, self.sigma, self.vfm_side = strategy, svd, sigma, vfm_side
        self.official_quirks = official_quirks
        self.spectrum, self.strength = settings.get("spectrum", 0), settings.get("strength", 1)
        self.eigenscaling = settings.get("eigenscaling", False)
        self.match_margin = _MARGINS[official_quirks] if match_margin is None else match_margin
        self.rank, self.energy, self.seed = (settings.get(name) for name in ("rank", "energy", "seed"))
        self._presence_texts = torch.empty(0)
        self.companion("vfm", vfm, gives="projections")
        if not isinstance(self.companion("presence", presence, optional=True), CLIPImageEncoder | None):
            raise ValueError(f"model.presence must be a CLIPImageEncoder, but got {presence!r}.")
        if presence and not (gamma or alpha):
            raise ValueError("model.presence has no effect with model.gamma=0 and model.alpha=0: leave it out.")

    # -- the last block ---------------------------------------------------------------------------------------------

    def last_block(self, block: CLIPBlock, tokens: Tensor, stream: Stream) -> Tensor:
        """The class token of the block as it was trained, and patches by both networks' graphs."""
        if CLASS_TOKEN in stream.given:
            return block.class_token(tokens)
        projections = block.qkv(tokens)
        _, key, value = (one[:, :, 1:] for one in projections)  # (B, heads, N, d)
        step = max(1, _ENTRIES // (key.shape[1] * key.shape[2] ** 2))
        parts = (slice(start, start + step) for start in range(0, len(key), step))
        heads = [self.attend_by_graphs(stream.images[part], stream.grid, key[part], value[part]) for part in parts]
        patches = block.merge_heads(torch.cat(heads))
        return torch.cat([block.class_token(tokens, projections), patches.to(tokens.dtype)], dim=1)

    def attend_by_graphs(self, images: Tensor, grid: Grid, key: Tensor, value: Tensor) -> Tensor:
        """A v: (B, heads, N, d), of windows (B, 3, H, W) with their keys and values."""
        key = key.to(torch.promote_types(key.dtype, torch.float32))
        seen = self.vfm_keys(images, grid).to(key.dtype)
        if seen.shape[1] != key.shape[1]:
            raise ValueError(
                f"model.vfm has {seen.shape[1]} heads, but CLIP's image tower {key.shape[1]}: they are matched one to"
                " one, so take a network with as many."
            )
        scores = self.combined_graph(key, fit_range(seen, key, (1, 2, 3)))
        if self.sigma is not None:
            scores += _prior(grid, self.sigma, scores.dtype, scores.device)
        return scores.softmax(dim=-1).to(value.dtype) @ value

    def combined_graph(self, clip: Tensor, vfm: Tensor) -> Tensor:
        """(w D + G^C) / (w + 1), (B, heads, N, N), of keys x^C and x^D (B, heads, N, d)."""
        values, vectors = graph_eigenvectors(vfm)
        weights = torch.ones_like(values[..., 0])  # (B, heads)
        if self.strategy == "spectral":
            source, distances = self.match(values, graph_eigenvalues(clip))
            values, vectors, vfm = (_heads(one, source) for one in (values, vectors, vfm))
            weights = self.strength * distances
        graph, weights = graph_of(clip), weights.to(clip.dtype)[..., None, None]
        distilled = self.low_rank_graph(values, vectors, vfm)
        distilled.diagonal(dim1=-2, dim2=-1).zero_()
        return (weights * fit_range(distilled, graph, (-2, -1)) + graph) / (weights + 1)

    def match(self, vfm: Tensor, clip: Tensor) -> tuple[Tensor, Tensor]:
        """The head of the VFM whose graph each head of CLIP takes, and W, (B, heads) each, of spectra (B, heads, d)."""
        distances = spectral_distances(vfm, clip, self.spectrum)  # (B, heads of the VFM, heads of CLIP)
        matched = match_farthest(distances, self.match_margin)  # pi
        pairs = distances.gather(2, matched[..., None])[..., 0]  # W_i,pi(i)
        if self.official_quirks:
            return matched, pairs
        source = matched.argsort(dim=1)  # the inverse of pi
        return source, pairs.gather(1, source)

    def low_rank_graph(self, values: Tensor, vectors: Tensor, keys: Tensor) -> Tensor:
        """U diag(phi(s)) V^T (B, heads, N, N), of eigenvalues (B, heads, d), eigenvectors and keys (B, heads, N, d)."""
        heads, patches, channels = keys.shape[1:]
        count, left, right = min(self.rank or channels, patches), vectors, vectors
        if self.seed is not None:
            left, values, right = low_rank_svd(keys, _directions(heads, patches, count, self.seed).to(keys.device))
        values = largest(values, count)
        left, right = left[..., :count], right[..., :count]
        kept = torch.arange(count, device=values.device).expand_as(values)
        kept = kept < (count if self.energy is None else rank_by_energy(values, self.energy)[..., None])
        factors = rescale_spectrum(values, kept) if self.eigenscaling else values
        factors = (factors * kept)[..., None, : left.shape[-1]]
        return (left * factors).to(keys.dtype) @ right.to(keys.dtype).transpose(-1, -2)

    # -- what the second network sees -------------------------------------------------------------------------------

    def vfm_keys(self, images: Tensor, grid: Grid) -> Tensor:
        """Keys of the VFM's last block on CLIP's grid, (B, heads, N, d), of windows (B, 3, H, W)."""
        levels, source = self.vfm_input(images)
        small = source[0] * source[1] <= _EXACT_PATCHES and self.official_quirks
        exactly = {"fused": False} if isinstance(self.vfm, FrozenViT) and small else {}
        # One by one: networks round with the batch, and at a tie the last digit decides which heads are matched.
        found = [self.vfm.projections(one[None], source, **exactly)[1] for one in levels]
        keys = torch.cat(found)  # (B, heads, h' w', d)
        maps = keys.transpose(2, 3).flatten(0, 1).unflatten(2, source)  # (B heads, d, h', w')
        maps = F.interpolate(maps, size=grid, mode="bilinear", align_corners=False)
        return maps.flatten(2).transpose(1, 2).unflatten(0, keys.shape[:2])

    def vfm_input(self, images: Tensor) -> tuple[Tensor, Size]:
        """Windows (B, 3, H, W) in grey levels, as the VFM sees them, and its grid of patches."""
        patch, size = self.vfm.patch_size, (images.shape[-2], images.shape[-1])
        if not self.official_quirks:
            height, width = (self.vfm_side or pixels for pixels in size)
            return self.grey_levels(images), (max(1, height // patch), max(1, width // patch))
        side = min(size)
        levels = resize_grey_levels(grey_levels_of_code(images), (side, side))
        if self.vfm_side is not None:
            side = self.vfm_side
            levels = resize_grey_levels(levels, (side, side), "bilinear")
        count = max(1, side // patch)
        whole = count * patch  # pixels beyond the last whole patch are dropped
        return levels[..., :whole, :whole], (count, count)

    # -- the classes present ----------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """The text features, those of the second CLIP too."""
        super().prepare()
        if self.presence is not None and not len(self._presence_texts):
            encoder = self.presence.pop_text_encoder()
            self._presence_texts = self.decode_head.features_by(encoder, self.presence.weights_hash)

    def use_head(self, head: Any) -> None:  # noqa: ANN401 - a text head
        """See :meth:`StagedSegmentor.use_head`; the second CLIP reads the words anew."""
        super().use_head(head)
        self._presence_texts = torch.empty(0)

    def find_presence(self, images: Tensor, stream: Stream | None = None) -> Tensor:
        """Cosines g (B, Q) of images (B, 3, H, W) and texts, of the second CLIP where there is one."""
        if self.presence is None:
            return super().find_presence(images, stream)
        tower = self.presence
        mean, std = (
            constant(tuple(one), images.dtype, images.device)[:, None, None]
            for one in in_grey_levels(tower.mean, tower.std)
        )
        tokens = tower.embed((self.grey_levels(images) - mean) / std)
        *early, last = tower.blocks
        for block in early:
            tokens = block(tokens)
        vector = F.normalize(tower.project(last.class_token(tokens))[:, 0], dim=-1)
        return vector @ self._presence_texts.to(vector).T


def _heads(values: Tensor, source: Tensor) -> Tensor:
    """Of values (B, heads, ...), the heads (B, heads) in this order."""
    return values[torch.arange(len(values), device=values.device)[:, None], source]


@lru_cache(maxsize=8)
def _prior(grid: Grid, sigma: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    return gaussian_neighbourhood(grid, sigma)[1:, 1:].to(device, dtype)


@lru_cache(maxsize=8)
def _directions(heads: int, patches: int, rank: int, seed: int) -> Tensor:
    """Random directions (heads, N, rank), float64: head by head, as torch.svd_lowrank draws them after manual_seed."""
    draw = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randn(patches, rank, dtype=torch.float64, generator=draw) for _ in range(heads)])


def _check_settings(settings: dict[str, Any]) -> None:
    """Raise ValueError for a number out of range; those that are None are left out."""
    given = {name: value for name, value in settings.items() if value is not None}
    for name in given.keys() & {"vfm_side", "spectrum", "rank"}:
        if not is_number(given[name], whole=True) or given[name] < 1:
            raise ValueError(f"model.{name} must be a whole number, at least 1, but got {given[name]!r}.")
    for name in given.keys() & {"sigma", "energy"}:
        if not is_number(given[name]) or given[name] <= 0:
            raise ValueError(f"model.{name} must be positive, but got {given[name]!r}.")
    for name in given.keys() & {"strength", "match_margin", "seed"}:
        if not is_number(given[name], whole=name == "seed") or given[name] < 0:
            raise ValueError(f"model.{name} must be a number of at least 0, but got {given[name]!r}.")
    if given.get("energy", 1) > 1:
        raise ValueError(f"model.energy must be at most 1, but got {given['energy']!r}.")
    check_choice("eigenscaling", given.get("eigenscaling", True), (True, False))
