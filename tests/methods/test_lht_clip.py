"""LHT-CLIP: the whole forward pass against its formulas, any base, and what each plug-in is for."""

import copy
import json
import math
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmseg.structures import SegDataSample

from mmseg_tfovss.config import load_config
from mmseg_tfovss.encoders.stream import Stream
from mmseg_tfovss.engine.identity import files_read
from mmseg_tfovss.engine.single import load_image
from mmseg_tfovss.evaluation.setting import setting_of
from mmseg_tfovss.methods.lht_clip import LHTCLIP, _read_layers
from mmseg_tfovss.methods.sclip import SCLIP
from mmseg_tfovss.registry import MODELS
from tests.methods import reference
from tests.mini import BLOCKS, WIDTH
from tests.parity.cases import FOLDER, build_case, check_case, load_case, parity_cases

OFF = {"tau": 1, "alpha": 0, "k": 0}
WHOLE, SLIDE = {"mode": "whole"}, {"mode": "slide", "crop_size": 32, "stride": 16}
BASES = ("SCLIP", "SCCLIP", "ClearCLIP", "NACLIP", "CLIPtrase", "CLIP", "GEM")
RESCLIP = {"type": "ResCLIP", "base": {"type": "NACLIP"}, "feedback": False}
RANKED = ((2, 1), (1, 0), (2, 0), (1, 1))  # all heads of the mini CLIP's early blocks


@pytest.fixture(scope="module")
def build(build_method, tmp_path_factory):
    """Build LHT-CLIP around a base on the mini CLIP, with a ranking of its heads."""
    content = {"version": 1, "arch": "mini", "blocks": BLOCKS, "heads_per_block": WIDTH // 64, "datasets": []}
    content["weights_hash"] = build_method("CLIP").backbone.weights_hash
    content["heads"] = [[block, head, 0.9 - 0.1 * place] for place, (block, head) in enumerate(RANKED)]
    path = tmp_path_factory.mktemp("ranking") / "mini.json"
    path.write_text(json.dumps(content))

    def build(base="SCLIP", *, k=3, tau=0.22, **options):
        base = {"type": base} if isinstance(base, str) else base
        return build_method("LHTCLIP", **{"base": base, "k": k, "tau": tau, "ranking": str(path), **options})

    return build


def images(*sizes, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(3, *size, generator=draw) for size in sizes]


@torch.inference_mode()
def outputs(model, inputs, targets=None):
    """Labels and dense logits of images."""
    metas = [{"ori_shape": target} for target in targets or [image.shape[-2:] for image in inputs]]
    dense = [model.dense_logits(assembly) for assembly in model.inference(inputs, metas)]
    samples = model.predict(inputs, [SegDataSample(metainfo=meta) for meta in metas])
    return [sample.pred_sem_seg.data[0] for sample in samples], dense


@torch.inference_mode()
def patch_logits(model, inputs):
    model.prepare()
    return model.patch_logits(inputs)


# -- around any base ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("test_cfg", [SLIDE, WHOLE], ids=["slide", "whole"])
@pytest.mark.parametrize("base", BASES)
def test_switched_off_it_is_the_base_bit_by_bit(base, test_cfg, build, build_method):
    inputs, targets = images((32, 48), (44, 40)), [(50, 70), (44, 40)]
    expected = outputs(build_method(base, test_cfg=test_cfg), inputs, targets)
    found = outputs(build(base, test_cfg=test_cfg, **OFF), inputs, targets)
    for ours, theirs in zip(found, expected, strict=True):
        assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("base", ["SCLIP", "ClearCLIP", "NACLIP"])
def test_switched_off_it_equals_the_bases_official_code(base, tiny_clip, tmp_path):
    name = parity_cases(base.lower())[0]
    settings, official = load_case(base.lower(), name)
    options = {"sigma": None} if "-kk" in name else {}
    wrapped = {"base": {"type": base, **options}, **OFF}
    check_case(build_case(settings, tiny_clip, tmp_path, "LHTCLIP", **wrapped), settings, official)


@torch.inference_mode()
def test_switched_off_it_equals_cliptrases_official_code(tiny_clip):
    settings, official = load_case("cliptrase", "cliptrase-n224_plain_coffee")
    model = MODELS.build(
        {
            "type": "LHTCLIP",
            "base": {"type": "CLIPtrase", "eps": settings["eps"], "min_samples": settings["min_samples"]},
            "backbone": {"type": "CLIPImageEncoder", "arch": "auto", "pretrained": str(tiny_clip)},
            "decode_head": {"type": "TextHead", "vocabulary": settings["labels"]},
            "test_cfg": WHOLE,
            "short_side": settings["image_size"],
            "centre_square": True,
            **OFF,
        }
    )
    square, image = load_image(model, FOLDER / settings["image"])
    [assembly] = model.inference([image], [{"ori_shape": square.shape[:2]}])
    assert (model.labels_of(assembly).numpy() == official["pred"]).mean() >= settings["min_label_agreement"]


@pytest.mark.parametrize("base", BASES)
def test_it_is_the_base_with_its_options_and_defaults(base, build, build_method):
    alone, model = build_method(base), build(base)
    assert isinstance(model, LHTCLIP)
    assert type(model.base) is type(alone)
    for name in ("pad_to", "whole_upsampling", "pamr_steps", "logit_factor", "mode"):
        assert getattr(model, name) == getattr(alone, name), name
        assert getattr(model.base, name) == getattr(alone, name), name
    for name in ("timed_steps", "label_options"):
        of_base = {f"base.{step}" for step in getattr(alone, name)}
        assert set(getattr(model, name)) == of_base | set(getattr(LHTCLIP, name)), name
    assert {name for name, _ in model.named_parameters()} == {name for name, _ in alone.named_parameters()}
    assert model.networks() == {"backbone": model.base.backbone}


def test_options_beside_the_base_are_not_mixed_up(build):
    """NACLIP's sigma is not ATR's."""
    model = build({"type": "NACLIP", "sigma": 0.8, "window_batch": 5}, sigma=2.0, pamr_steps=0)
    assert (model.base.sigma, model.token_plugins.sigma) == (0.8, 2.0)
    for method in (model, model.base):
        assert (method.pamr_steps, method.window_batch) == (0, 5)


@pytest.mark.parametrize("base", [*BASES, RESCLIP], ids=str)
@pytest.mark.parametrize("on", [{"tau": 0.22}, {"alpha": 0.1}, {"k": 2}])
def test_every_plugin_acts_alone_around_every_base(base, on, build):
    [image] = images((32, 48))
    plain = patch_logits(build(base, **OFF), image[None])
    changed = patch_logits(build(base, **{**OFF, **on}, remove_residual=False), image[None])
    assert (plain - changed).abs().max() > 1e-3
    labels, _ = outputs(build(base, **{**OFF, **on}), [image])
    assert 0 <= labels[0].min() <= labels[0].max() < 4


def rankings_read(model):
    """Files that were read or looked for, without the config that may lie beside the weights."""
    return [path for path in files_read(model) if path.name != "open_clip_config.json"]


def test_it_is_a_base_of_dslo(build, build_method, monkeypatch):
    inputs = torch.stack(images((32, 48), (32, 48)))
    model = build(test_cfg=WHOLE)
    options = {"k": 3, "tau": 0.22, "alpha": 0.1, "base": {"type": "SCLIP"}}
    monkeypatch.setattr("mmseg_tfovss.encoders.head_ranking.load_ranking", lambda *_: (Path("ranking.json"), RANKED))
    dslo = build_method("DSLO", mode="kl", theta=0, test_cfg=WHOLE, base={"type": "LHTCLIP", **options})
    assert torch.equal(patch_logits(dslo, inputs), patch_logits(model, inputs))
    labels = dslo.predict(inputs)[0].pred_sem_seg.data
    assert labels.shape == (1, 32, 48)
    assert rankings_read(dslo) == [Path("ranking.json")]


def test_a_copy_is_independent(build):
    model = build()
    inputs = torch.stack(images((32, 32)))
    expected = patch_logits(model, inputs)
    twin = copy.deepcopy(model)
    object.__setattr__(twin.token_plugins, "alpha", 0.9)  # frozen, for others
    assert torch.equal(patch_logits(model, inputs), expected)
    assert not torch.equal(patch_logits(twin, inputs), expected)


# -- the forward pass -----------------------------------------------------------------------------------------------


def hoyer_by_hand(token):
    return (math.sqrt(WIDTH) - float(token.abs().sum()) / float(token.norm())) / (math.sqrt(WIDTH) - 1)


def replace_by_hand(patches, abnormal, grid, sigma):
    """ATR of the patches (N, D) of one image."""
    places = [divmod(i, grid[1]) for i in range(len(patches))]
    found = patches.clone()
    for i in (i for i in range(len(patches)) if abnormal[i] and not all(abnormal)):
        for radius in range(1, max(grid)):
            total, weight = torch.zeros(WIDTH, dtype=torch.float64), 0.0
            for j in range(len(patches)):
                rows, columns = (abs(a - b) for a, b in zip(places[i], places[j], strict=True))
                if max(rows, columns) <= radius and not abnormal[j]:
                    w = math.exp(-(rows**2 + columns**2) / (2 * sigma**2))
                    total, weight = total + w * patches[j], weight + w
            if weight:
                found[i] = total / weight
                break
    return found


def forward_by_hand(state, tokens, grid, heads, tau, alpha, layers, beta, sigma, per_head=True, columns=True):
    """SCLIP with all three, from the embedded tokens (1, 1 + N, D) of one image to patch features in text space."""
    selected = []
    for number in range(1, BLOCKS):
        weights = reference.block_weights(state, number)
        projections = reference.qkv(weights, tokens)
        attended = reference.attend(*projections)
        for head in (head for block, head in heads if block == number):
            slice_of_head = weights["attn.out_proj.weight"][:, 64 * head : 64 * (head + 1)]
            selected.append((attended[head] @ slice_of_head.T)[0, 1:])
        a = alpha if layers[0] <= number <= layers[1] else 0.0
        tokens = (1 + a) * tokens + (1 - a) * reference.merge(weights, attended)
        tokens = (1 + a) * tokens + (1 - a) * reference.feed_forward(weights, tokens)
    patches = tokens[0, 1:]
    abnormal = [hoyer_by_hand(token) > tau for token in patches]
    assert 0 < sum(abnormal) < len(abnormal)
    patches = replace_by_hand(patches, abnormal, grid, sigma)
    mean = torch.zeros_like(patches)
    for output in selected:
        own = [hoyer_by_hand(token) > tau for token in output] if per_head else abnormal
        mean += replace_by_hand(output, own, grid, sigma) / len(selected)
    mixture = torch.zeros(len(patches), len(patches), dtype=torch.float64)
    for i in range(len(patches)):
        for j in range(len(patches)):
            cosine = float(mean[i] @ mean[j] / (mean[i].norm() * mean[j].norm()))
            mixture[i, j] = cosine if cosine >= beta else 0.0
    mixture = mixture / (mixture.sum(0, keepdim=True) if columns else mixture.sum(1, keepdim=True))
    tokens = torch.cat([tokens[0, :1], mixture @ patches])[None]
    last = reference.last_block_weights(state)
    query, key, value = reference.qkv(last, tokens)
    both = zip(reference.attend(query, query, value), reference.attend(key, key, value), strict=True)
    tokens = reference.merge(last, [one + two for one, two in both])[0, 1:]  # no residual, no feed-forward
    norm = [state[f"visual.ln_post.{name}"].double() for name in ("weight", "bias")]
    return F.layer_norm(tokens, (WIDTH,), *norm) @ state["visual.proj"].double()


@pytest.mark.parametrize(
    ("k", "options", "manual"),
    [
        (3, {}, {}),
        (
            4,
            {"alpha": 0.3, "layers": (1, 2), "sigma": 0.7, "beta": 0.1},
            {"alpha": 0.3, "layers": (1, 2), "sigma": 0.7},
        ),
        (3, {"abnormal_set": "stream", "normalisation": "row"}, {"per_head": False, "columns": False}),
    ],
)
def test_the_whole_pass_equals_the_formulas(k, options, manual, build, mini_state):
    """Two images of 4x6 patches at once; what is compared are the features before the cosine."""
    model = build(k=k, **options).double()
    inputs = torch.stack(images((32, 48), (32, 48))).double()
    with torch.inference_mode():
        found = model.extract_feat(inputs).flatten(2).transpose(1, 2)
        embedded = model.backbone.embed(inputs)
    settings = {"tau": 0.22, "alpha": 0.1, "layers": (2, 2), "beta": options.get("beta", 0.4), "sigma": 1.0, **manual}
    for one, tokens in zip(found, embedded, strict=True):
        expected = forward_by_hand(mini_state, tokens[None], (4, 6), RANKED[:k], **settings)
        torch.testing.assert_close(one, expected, atol=1e-5, rtol=0)


def stream_of(tokens):
    """Tokens (B, 1 + 24, D) between two blocks."""
    return Stream(images=torch.empty(len(tokens), 3, 0, 0), grid=(4, 6), tokens=tokens)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_block_whose_heads_are_noted_is_the_block(precision, build):
    model = build(alpha=0, k=4, precision=precision)
    tokens = torch.randn(2, 7, WIDTH, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for number in (1, 2):
            block = model.backbone.blocks[number - 1]
            run_block, stream = model.token_plugins.run_block, stream_of(tokens)
            assert torch.equal(run_block(number, block, stream, None), block(tokens))
            found = run_block(number, block, stream, block.qkv(tokens))
            assert torch.equal(found, block(tokens))


def test_switches_are_exact_identities(build):
    """Each one off, with another one on, leaves what the other one leaves."""
    tokens = torch.randn(2, 25, WIDTH, generator=torch.Generator().manual_seed(0))
    block = build().backbone.blocks[1]
    assert build(alpha=0, k=0).token_plugins.run_block(2, block, stream_of(tokens), None) is None
    assert build(alpha=0, k=4).token_plugins.run_block(3, block, stream_of(tokens), None) is None
    no_atr = build(tau=1, k=0).token_plugins
    assert torch.equal(no_atr.after_block(2, stream_of(tokens)), tokens)
    assert not bool(no_atr.abnormal(torch.eye(WIDTH)[None]).any())
    no_she = build(tau=0.22, k=0).token_plugins.after_block(2, stream_of(tokens))
    normal = ~build().token_plugins.abnormal(tokens[:, 1:])
    assert torch.equal(no_she[:, 1:][normal], tokens[:, 1:][normal])
    assert torch.equal(no_she[:, 0], tokens[:, 0])
    assert not torch.equal(no_she, tokens)


def test_ssr_takes_the_sixth_of_the_blocks_before_the_last():
    expected = {3: [2], 6: [5], 12: [10, 11], 24: [20, 21, 22, 23], 32: [27, 28, 29, 30, 31]}
    assert {count: list(_read_layers(None, count)) for count in expected} == expected


@pytest.mark.parametrize("base", ["SCLIP", "CLIPtrase", {"type": "CLIPtrase", "recovery_layer": 1}], ids=str)
def test_only_the_attention_of_the_last_block_stays(base, build):
    model = build(base, **OFF, remove_residual=True)
    inputs, seen = torch.stack(images((32, 48))), []
    model.backbone.ln_post.register_forward_pre_hook(lambda _, tokens: seen.append(tokens[0]))
    model.backbone.blocks[-1].out_proj.register_forward_hook(lambda _, __, output: seen.append(output))
    patch_logits(model, inputs)
    attended, handed = seen
    assert torch.equal(handed, attended[:, -handed.shape[1] :])
    kept = patch_logits(build(base, **OFF, remove_residual=False), inputs)
    assert (patch_logits(model, inputs) - kept).abs().max() > 1e-2


@pytest.mark.parametrize(("base", "removed"), [("SCLIP", True), ("CLIP", True), ("CLIPtrase", False)])
def test_by_default_last_block_methods_lose_it_when_a_plugin_is_on(base, removed, build):
    inputs = torch.stack(images((32, 48)))
    usual, explicit = (patch_logits(build(base, remove_residual=value), inputs) for value in (None, removed))
    assert torch.equal(usual, explicit)


@pytest.mark.parametrize("base", ["ClearCLIP", "NACLIP"])
def test_where_there_is_no_residual_nothing_is_removed(base, build):
    inputs = torch.stack(images((32, 48)))
    found = [patch_logits(build(base, remove_residual=remove), inputs) for remove in (True, False)]
    assert torch.equal(*found)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("abnormal_set", ["stream", "per_head"])
def test_a_batch_of_two_equals_two_singles(base, abnormal_set, build):
    inputs, targets = images((32, 48), (44, 40), (32, 48)), [(50, 70), (44, 40), (32, 48)]
    model = build(base, abnormal_set=abnormal_set)
    together = outputs(model, inputs, targets)
    for index, image in enumerate(inputs):
        labels, dense = outputs(model, [image], [targets[index]])
        assert torch.equal(labels[0], together[0][index])
        torch.testing.assert_close(dense[0], together[1][index], atol=1e-4, rtol=0)


@pytest.mark.parametrize("base", BASES)
def test_float32_equals_float64(base, build):
    inputs = torch.stack(images((32, 48), (32, 48)))
    single = patch_logits(build(base), inputs)
    double = patch_logits(build(base).double(), inputs.double())
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(single.double(), double, atol=1e-3 if base == "CLIPtrase" else 1e-5, rtol=0)


def test_half_precision_stays_close(build):
    inputs = torch.stack(images((32, 48)))
    full, half = (patch_logits(build(precision=name, tau=0.5), inputs).float() for name in ("fp32", "bf16"))
    assert (full - half).abs().max() < 0.05


# -- what the plug-ins are for --------------------------------------------------------------------------------------

BARE = {"tau": 0.5, "alpha": 0, "k": 0, "remove_residual": True, "test_cfg": WHOLE}


def halves(model):
    """An image of two colours; the tower has no positions, so that patches of one colour are one token."""
    with torch.no_grad():
        model.backbone.positional_embedding.zero_()
    image = torch.full((3, 48, 64), -1.0)
    image[:, :, 32:] = 1.0
    return image


class Watch:
    """A plug-in that changes the patches (B, N, D) before the last block, and notes what comes out of early blocks."""

    def __init__(self, change=lambda patches: patches):
        self.change, self.seen = change, []

    def run_block(self, number, block, stream, projections):
        return None

    def after_block(self, number, stream):
        tokens = stream.tokens
        if number == BLOCKS - 1:
            tokens = torch.cat([tokens[:, :1], self.change(tokens[:, 1:])], dim=1)
        self.seen.append(tokens)
        return tokens


def plant(model, change):
    """Change the patches (B, N, D) before the last block, in front of the plug-ins."""
    model.base.plugins.insert(0, Watch(change))


SPIKED = [0, 5, 6, 9, 10, 16, 23, 30, 34, 38, 41, 47]  # of 6x8 patches: corners, borders, inside, side by side


def spikes(patches):
    """One huge channel, the same one, in some patches."""
    planted = patches.clone()
    planted[:, SPIKED, 7] = 1e4
    return planted


def test_planted_abnormal_tokens_are_found_and_the_labels_saved(build):
    """The paper's idea: without ATR the planted patches get other labels."""
    clean = build(**BARE)
    image = halves(clean)
    [expected], _ = outputs(clean, [image])
    assert len(expected.unique()) == 2
    agreement, found = {}, {}
    for tau in (0.5, 1):
        model = build(**{**BARE, "tau": tau})
        halves(model)
        plant(model, spikes)
        watch = model.token_plugins.abnormal
        watched = lambda patches, tau=tau, watch=watch: found.setdefault(tau, watch(patches))  # noqa: E731
        object.__setattr__(model.token_plugins, "abnormal", watched)
        [labels], _ = outputs(model, [image])
        agreement[tau] = (labels == expected).float().mean().item()
    assert found[0.5][0].nonzero()[:, 0].tolist() == SPIKED
    assert agreement[0.5] == 1
    assert agreement[1] < 0.95


def test_heads_that_know_what_is_alike_average_noise_away(build):
    """SHE's idea: the heads' outputs are from before the noise, so tokens are mixed with those of their own half."""
    noise = torch.randn(1, 48, WIDTH, generator=torch.Generator().manual_seed(0))
    errors = {}
    for k in (0, 3):
        model, watch = build(**{**BARE, "tau": 1, "k": k, "beta": 0.9}), Watch()
        image = halves(model)
        model.base.plugins.append(watch)
        for strength in (0, 1):
            plant(model, lambda patches, strength=strength: patches + strength * noise)
            patch_logits(model, image[None])
        clean, noisy = watch.seen[1], watch.seen[3]  # behind blocks 1 and 2, twice
        errors[k] = (clean - noisy).abs().mean().item()
    assert errors[3] < 0.3 * errors[0]


# -- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tau": 1.5}, r"model.tau must lie in \[0, 1\], but got 1.5"),
        ({"alpha": -0.1}, "model.alpha must lie in"),
        ({"alpha": "much"}, "model.alpha must lie in"),
        ({"beta": 2}, "model.beta must lie in"),
        ({"sigma": 0}, "model.sigma must be positive"),
        ({"k": -1}, "model.k must be a number of heads"),
        ({"k": 5}, "model.k must be at most 4, the number of ranked heads, but got 5"),
        ({"layers": (0, 2)}, r"model.layers must be None or .* 1 <= first <= last < 3"),
        ({"layers": (2, 3)}, "model.layers must be"),
        ({"layers": (2, 1)}, "model.layers must be"),
        ({"layers": 2}, "model.layers must be"),
        ({"normalisation": "both"}, "model.normalisation must be one of"),
        ({"abnormal_set": "all"}, "model.abnormal_set must be one of"),
        ({"remove_residual": "yes"}, "model.remove_residual must be one of"),
        ({"base": None}, "model.base must be the config of another method"),
        ({"base": "SCLIPP"}, "model.base must be the config of another method"),
        ({"base": "CLIPImageEncoder"}, "model.base must be the config of another method"),
        ({"base": {"type": "LHTCLIP", "base": {"type": "SCLIP"}}}, r"runs CLIP's blocks itself, but LHTCLIP is around"),
        (
            {"base": {"type": "LHTCLIP", "k": 0, "base": {"type": "SCLIP"}}},
            r"model\.base must be a method that runs CLIP's blocks itself, but LHTCLIP is around another one",
        ),
        (
            {"base": {"type": "DSLO", "mode": "kl"}, "test_cfg": WHOLE},
            r"model\.base must be a method that runs CLIP's blocks itself, but DSLO is around another one: put LHTCLIP",
        ),
        (
            {"base": {"type": "DSLO", "graph": {"type": "DINO", "pretrained": "/nowhere"}}, "test_cfg": WHOLE},
            "but DSLO is around another one: put LHTCLIP inside it",
        ),
        (
            {"residual": True},
            r"model\.residual=True and a plug-in that leaves it out .*: set model\.remove_residual=False",
        ),
        (
            {"feed_forward": True},
            r"model\.feed_forward=True and a plug-in that leaves it out .* model\.remove_residual=False",
        ),
        ({"base": {"type": "SCLIP", "residual": True}}, r"residual=True and a plug-in that leaves it out contradict"),
        ({**OFF, "residual": True, "remove_residual": True}, r"model\.residual=True and a plug-in that leaves it out"),
        ({"base": {"type": "ClearCLIP", "feed_forward": True}}, r"feed_forward=True and a plug-in that leaves it out"),
    ],
)
def test_wrong_options_are_named(options, said, build):
    with pytest.raises(ValueError, match=said):
        build(**{"base": "SCLIP", **options})


def test_without_a_ranking_the_way_to_one_is_told(build):
    with pytest.raises(FileNotFoundError, match=r"make it once with tfovss analyze "):
        build(ranking=None)
    assert not build(ranking=None, k=0).token_plugins.heads


def test_the_ranking_that_was_read_is_part_of_a_runs_identity(build):
    [path] = rankings_read(build(k=1))
    assert path.name == "mini.json"
    assert rankings_read(build(k=0)) == []


def test_a_base_that_replaces_a_selected_block_is_named(build):
    model = build({"type": "CLIPtrase", "recovery_layer": 2}, k=1)
    with pytest.raises(ValueError, match=r"SHE takes heads of the blocks \[2\]"):
        patch_logits(model, torch.stack(images((32, 32))))


def test_without_a_base_that_is_said(build_method):
    with pytest.raises(ValueError, match=r"^LHTCLIP needs the option model\.base, which has no default\.$"):
        build_method("LHTCLIP", k=0)


@pytest.mark.parametrize("kept", [{"remove_residual": False}, OFF], ids=["asked for", "no plug-in"])
def test_residual_and_feed_forward_may_be_asked_for_where_nothing_is_removed(kept, build, build_method):
    inputs = torch.stack(images((32, 48)))
    options = {"residual": True, "feed_forward": True}
    model = build("ClearCLIP", **{**kept, **options})
    assert (model.base.residual, model.base.feed_forward) == (True, True)
    if kept is OFF:
        assert torch.equal(patch_logits(model, inputs), patch_logits(build_method("ClearCLIP", **options), inputs))


class OwnLastBlock(SCLIP):
    """A method that runs its last block in its own way."""

    def last_block(self, block, tokens, stream):
        return 0.5 * tokens + block(tokens)


class OwnWay(SCLIP):
    """A method that runs the blocks without the base class."""

    def extract_feat(self, inputs):
        tokens = self.backbone.embed(inputs)
        for block in self.backbone.blocks:
            tokens = block(tokens)
        return self.backbone.to_text_space(tokens, self.backbone.grid(inputs))


def test_from_a_last_block_of_the_bases_own_nothing_is_removed(build):
    inputs, base = torch.stack(images((32, 48))), {"type": OwnLastBlock}
    with pytest.raises(ValueError, match=r"model\.remove_residual=True has no effect: OwnLastBlock runs its"):
        build(base, remove_residual=True)
    usual, kept = (patch_logits(build(base, remove_residual=value), inputs) for value in (None, False))
    assert torch.equal(usual, kept)
    assert (usual - patch_logits(build(base, **OFF), inputs)).abs().max() > 1e-3


def test_a_base_that_does_not_run_the_blocks_is_refused_at_the_first_image(build, build_method):
    inputs, base = images((32, 48)), {"type": OwnWay}
    for on in ({"alpha": 0.1}, {"tau": 0.22}, {"k": 2}):
        with pytest.raises(
            ValueError, match=r"run_blocks, which OwnWay\.encode does not call: it would have no effect"
        ):
            build(base, **{**OFF, **on}).predict(inputs)
    found, expected = outputs(build(base, **OFF), inputs), outputs(build_method(OwnWay), inputs)
    for ours, theirs in zip(found, expected, strict=True):
        assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("ignore_residual", [False, True])
def test_what_gem_gathered_before_the_plugins_is_not_repaired(ignore_residual, build, monkeypatch):
    """ATR and SHE change what GEM's last block reads, not the sum of the blocks before, which there may be none of."""
    seen = []
    for on in ({}, {"tau": 0.22, "k": 2}):
        base = build({"type": "GEM", "ignore_residual": ignore_residual}, **{**OFF, **on}).base
        last = base.last_block

        def noted(block, tokens, stream, last=last):
            seen.append((stream.second, tokens))
            return last(block, tokens, stream)

        monkeypatch.setattr(base, "last_block", noted)
        patch_logits(base, torch.stack(images((32, 48))))
    [(path, read), (repaired_path, repaired)] = seen
    assert (read - repaired).abs().max() > 1e-2
    assert path is repaired_path is None if ignore_residual else torch.equal(path, repaired_path)


@pytest.mark.parametrize("protocol", ["paper", "unified"])
@pytest.mark.parametrize("base", ["SCLIP", "ClearCLIP", "NACLIP", "CLIPtrase", "SCCLIP"])
def test_configs_are_those_of_the_base(base, protocol):
    """CLIPtrase's options, which differ between protocols, are found in the base."""
    folder, suffix = FOLDER.parents[1] / "configs", "" if base == "SCLIP" else f"-{base.lower()}"
    method = {"SCCLIP": "sc_clip"}.get(base, base.lower())
    for key, backbone in (("voc21", "b16"), ("voc20", "l14"), ("coco_object", "b16")):
        wrapped = load_config(folder / f"lht_clip/lht_clip_vit-{backbone}{suffix}_{key}.py", {"protocol": protocol})
        own = load_config(folder / f"{method}/{method}_vit-b16_{key}.py", {"protocol": protocol})
        assert re.match(rf"around {base}\b", setting_of(wrapped))
        assert wrapped.model.pop("type") == "LHTCLIP"
        assert wrapped.model.backbone.arch == {"b16": "ViT-B-16", "l14": "ViT-L-14"}[backbone]
        own.model.backbone.arch = wrapped.model.backbone.arch
        assert {**wrapped.model.to_dict(), **wrapped.model.base.to_dict()} == {
            **own.model.to_dict(),
            "base": wrapped.model.base.to_dict(),
        }
        for config in (wrapped, own):
            for name in ("model", "run_name", "work_dir", "setting"):
                config.pop(name, None)
        assert wrapped.to_dict() == own.to_dict()


@pytest.mark.parametrize(
    ("protocol", "backbone"), [("paper", "vit-b16"), ("unified", "vit-l14"), ("unified", "vit-pocket")]
)
def test_configs_around_resclip_have_its_settings_without_the_feedback_pass(protocol, backbone):
    folder = FOLDER.parents[1] / "configs"
    for path in sorted((folder / "lht_clip").glob(f"*_{backbone}-resclip_*.py")):
        wrapped = load_config(path, {"protocol": protocol})
        place = path.stem.removeprefix("lht_clip_").replace("-resclip", "")
        own = load_config(folder / "resclip" / f"resclip_{place}.py", {"protocol": protocol}).model.to_dict()
        weights = own.pop("rcs_weights", (2.0, 0.4))
        for name in ("sfr_weights", "label_threshold"):
            own.pop(name, None)
        found = wrapped.model.to_dict()
        base = found.pop("base")
        assert base.pop("rcs_weights", (2.0, 0.4)) == weights
        assert base == {"type": own.pop("type"), "base": own.pop("base"), "feedback": False}
        assert (found.pop("type"), found.pop("beta", 0.4)) == ("LHTCLIP", 0.98 if "pocket" in path.stem else 0.4)
        assert {**found, "pamr_steps": 0} == {**own, "pamr_steps": 0}
        assert setting_of(wrapped) == "around ResCLIP (around NACLIP, feedback=False)"


def test_there_is_a_config_per_base_backbone_and_benchmark():
    names = {path.stem for path in (FOLDER.parents[1] / "configs" / "lht_clip").glob("*.py")}
    keys = ("voc21", "voc20", "context60", "context59", "coco_object", "coco_stuff164k", "cityscapes", "ade20k")
    wanted = {
        f"lht_clip_{backbone}{base}_{key}"
        for base in ("", "-clearclip", "-naclip", "-cliptrase", "-resclip", "-scclip")
        for backbone, sets in (("vit-b16", keys), ("vit-l14", keys), ("vit-pocket", ("pocket_all", "pocket_thing")))
        for key in sets
        if (base, backbone) != ("-scclip", "vit-pocket")  # for the pocket benchmark, one more of them is enough
    }
    assert len(wanted) == 106
    assert names == wanted


@pytest.mark.parametrize("stem", ["vit-b16_context60", "vit-b16_cityscapes", "vit-pocket_pocket_all"])
def test_rows_of_the_component_table(stem):
    rows = sorted((FOLDER.parents[1] / "configs" / "lht_clip" / "ablations").glob(f"lht_clip_{stem}_*.py"))
    found = []
    for path in rows:
        config = load_config(path)
        model = config.model
        found.append((config.setting, model.get("tau", 0.5) < 1, model.get("alpha", 0.1) > 0, model.get("k", 10) > 0))
        assert model.base == {"type": "SCLIP"}
    assert found == [
        ("baseline", False, False, False),
        ("ATR", True, False, False),
        ("SSR", False, True, False),
        ("ATR + SSR", True, True, False),
        ("ATR + SHE", True, False, True),
        ("ATR + SSR + SHE", True, True, True),
    ]
