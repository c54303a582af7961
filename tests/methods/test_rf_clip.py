"""RF-CLIP: the official outputs and what leads to them, the paper's text against loops, and what each step is for."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from mmseg.structures import SegDataSample

from mmseg_tfovss.config import load_config
from mmseg_tfovss.engine.run import run_test
from mmseg_tfovss.methods import presence, rf_clip
from mmseg_tfovss.methods.stages import Scene, Windows
from tests.methods import reference
from tests.methods.own_config import CONFIGS, SLIDE, WHOLE
from tests.mini import BLOCKS, PATCH
from tests.parity.cases import TOLERANCE, build_case, check_case, load_case, parity_cases

CASES = parity_cases("rfclip")
CHANNELS = (4, 34, 61)
GRID = (3, 4)
SIGMA = 20.0  # of the paper's distractors on random weights, whose channels sum to little
IN_PAPER = {  # gamma, alpha, t
    "voc21": (0.1, 0.03, 0.1),
    "context60": (0.25, 0.04, 0.09),
    "coco_object": (0.25, 0.01, 0.1),
    "voc20": (0.4, 0.02, 0.1),
    "context59": (0.25, 0.04, 0.09),
    "coco_stuff164k": (0.2, 0.02, 0.02),
    "cityscapes": (0.1, 0.03, 0.14),
    "ade20k": (0.3, 0.05, 0.06),
}


@pytest.fixture
def build(build_method):
    """RF-CLIP on the mini CLIP, with distractors."""

    def build(**options):
        return build_method("RFCLIP", **{"channels": CHANNELS, "sigma": 1.6, "test_cfg": WHOLE, **options})

    return build


@pytest.fixture
def images():
    size = (GRID[0] * PATCH, GRID[1] * PATCH)
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def logits(model, images, scenes=None):
    model.prepare()
    return model.patch_logits(images, scenes)


# -- the released code ----------------------------------------------------------------------------------------------


class Records(dict):
    """What functions were given and gave back, by name, the last call last."""

    def spy(self, monkeypatch, owner, *names):
        for name in names:
            inner = getattr(owner, name)

            def record(*args, name=name, inner=inner, **kwargs):
                found = inner(*args, **kwargs)
                self.setdefault(name, []).append((args, found))
                return found

            monkeypatch.setattr(owner, name, record)


def build_official(settings, weights, folder):
    options = settings["options"]
    denoise = options["denoise"]
    return build_case(
        settings,
        weights,
        folder,
        "RFCLIP",
        channels=denoise["channels"],
        sigma=denoise["sigma"],
        denoise_alpha=denoise["alpha"],
        enhance_threshold=options["enhance_threshold"],
        gamma=options["global_semantics_weight"],
        alpha=options["mean_vector_weight"],
        t=options["h_threshold"],
        linkage=options["linkage"],
        prior_from="window" if options["presence_image"] == "window" else "image",
    )


def mean_attentions(block, inputs, stream):
    """The mean over blocks of softmax(k k^T / sqrt(d)) for each input of the last one, (B, heads, 1 + N, 1 + N)."""
    for tokens in inputs:
        keys = [*stream.keys.values(), block.keys_values(tokens)[0]]
        yield sum(block.attention_weights(key, key) for key in keys) / len(keys)


def test_there_are_official_outputs():
    assert len(CASES) >= 10


@pytest.mark.parametrize("name", [*CASES[::2], *(pytest.param(name, marks=pytest.mark.slow) for name in CASES[1::2])])
def test_equals_official_code(name, tiny_clip, tmp_path, monkeypatch):
    """The outputs, and of the window at the corner, which is the last pass, what they are made of."""
    settings, official = load_case("rfclip", name)
    model, records = build_official(settings, tiny_clip, tmp_path), Records()
    records.spy(monkeypatch, rf_clip, "find_distractors", "similarity_above", "enhance")
    records.spy(monkeypatch, presence, "adjust_texts", "mix_presence")
    records.spy(monkeypatch, model, "attend_by_keys")
    check_case(model, settings, official)

    masks = torch.stack([found[0] for _, found in records["find_distractors"][-12:]])
    assert torch.equal(masks, torch.from_numpy(official["distractor_mask"]).bool())
    assert masks.sum(dim=1).tolist() == official["distractor_counts"].tolist()
    assert bool(masks.any()) == ("sigma5" not in name)
    found = {"adjusted_text": records["adjust_texts"][-1][1][0] if model.alpha else model.decode_head.text_features}
    if model.alpha or model.gamma:  # otherwise nobody looks at the whole image
        found["presence_prior"] = records["mix_presence"][-1][0][1][0]
    if "guide_sub7" in official:
        found["guide_sub7"] = records["similarity_above"][-1][0][0][0, ::7]
        enhanced = torch.cat([tokens for _, tokens in records["enhance"][-2:]])
        found["enhanced_unit_sub7"] = F.normalize(enhanced, dim=-1)[:, ::7]
        kk_means = torch.cat(list(mean_attentions(*records["attend_by_keys"][-1][0])))
        found["kk_mean_sub13"] = kk_means[..., 1::13, 1::13]
    for key, ours in found.items():
        expected = torch.from_numpy(official[key])
        assert ours.shape == expected.shape, key
        # Tokens are larger than cosines: their tolerance is relative.
        assert (ours - expected).abs().max() <= TOLERANCE * expected.abs().max().clamp_min(1), key
    ids = [model.text_clusters(), torch.from_numpy(official["text_clusters"])]
    assert torch.equal(*(one[:, None] == one for one in ids))


def test_the_extras_are_in_most_cases():
    assert sum("guide_sub7" in load_case("rfclip", name)[1] for name in CASES) >= 4


# -- the paper's text -----------------------------------------------------------------------------------------------


def neighbours(index):
    row, column = divmod(index, GRID[1])
    for r in range(max(row - 1, 0), min(row + 2, GRID[0])):
        for c in range(max(column - 1, 0), min(column + 2, GRID[1])):
            if r * GRID[1] + c != index:
                yield r * GRID[1] + c


def paper_block(weights, tokens, sigma, beta):
    """A block with both redistributions for one image (1, 1 + N, D), patch by patch.

    Returns:
        Its output, its key-key attention, and how many patches are distractors and defocused.
    """
    query, key, value = reference.qkv(weights, tokens)
    keys = [(one @ one.transpose(1, 2) / 8).softmax(dim=-1)[0] for one in key]
    graph = torch.stack(keys)[:, 1:, 1:].mean(dim=0)
    graph = (graph + graph.T) / 2
    degree = graph.sum(dim=1)
    vectors = torch.linalg.eigh(torch.eye(len(graph)) - graph / (degree[:, None] * degree).sqrt())[1]
    cut = vectors[:, 1] / degree.sqrt()
    cut = cut * cut[cut.abs().argmax()].sign()
    patches = tokens[0, 1:]
    shares = [max(patch[channel] / patch.sum() for channel in CHANNELS) for patch in patches]
    distractors = [i for i, share in enumerate(shares) if share > sigma / patches.shape[1]]
    defocused = [i for i in range(len(patches)) if cut[i] > cut.mean() and i not in distractors]
    heads = []
    for one, two, values in zip(query, key, value, strict=True):
        attention = (one @ two.transpose(1, 2) / 8).softmax(dim=-1)[0]
        for row in attention:
            removed = beta * sum(row[1 + i].item() for i in distractors)
            had = sum(row[1 + i].item() for i in defocused)
            for i in distractors if defocused else []:
                row[1 + i] *= 1 - beta
            for i in defocused:
                row[1 + i] += removed * row[1 + i].item() / had
        heads.append(attention[None] @ values)
    tokens = tokens + reference.merge(weights, heads)
    tokens = tokens + reference.feed_forward(weights, tokens)
    found = tokens.clone()
    for i in distractors:
        around = torch.stack([tokens[0, 1 + other] for other in neighbours(i)]).mean(dim=0)
        found[0, 1 + i, list(CHANNELS)] = around[list(CHANNELS)]
    return found, torch.stack(keys), (len(distractors), len(defocused))


@pytest.mark.parametrize("beta", [None, 0.3])
@torch.inference_mode()
def test_the_paper_equals_a_loop(beta, build, mini_state, images):
    model, counts = build(refocus="paper", sigma=SIGMA, beta=beta).double(), []
    for image in images.double()[:, None]:
        tokens, keys = model.backbone.embed(image), []
        for number in range(1, BLOCKS + 1):
            weights, before = reference.block_weights(mini_state, number), tokens
            tokens, own, count = paper_block(weights, before, SIGMA, 0.7 if beta is None else beta)
            keys.append(own)
            counts.append(count)
        mean = torch.stack(keys).mean(dim=0)
        values = reference.qkv(weights, before)[2]
        patches = reference.merge(weights, [head[None] @ value for head, value in zip(mean, values, strict=True)])
        found = model.run_blocks(image).tokens
        torch.testing.assert_close(found[:, :1], tokens[:, :1], atol=1e-5, rtol=0)
        torch.testing.assert_close(found[:, 1:], patches[:, 1:], atol=1e-5, rtol=0)
    assert sum(distractors > 0 and defocused > 0 for distractors, defocused in counts) >= 2, counts


def test_a_plugin_in_place_of_a_redistributed_block_is_refused(build, images):
    class Plugin:
        def run_block(self, number, block, stream, projections):
            return stream.tokens if number == 2 else None

        def after_block(self, number, stream):
            return stream.tokens

    model = build(refocus="paper")
    model.plugins.append(Plugin())
    with pytest.raises(ValueError, match=r"refocus='paper' .* a plug-in runs block 2 in its own way: set"):
        logits(model, images)
    model = build()
    plain = logits(model, images)
    model.plugins.append(Plugin())
    assert (logits(model, images) - plain).abs().max() > 1e-3


# -- what each step is for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "off",
    [
        {"sigma": 50.0},
        {"denoise_alpha": 0.0},
        {"channels": (5,)},
        {"enhance_threshold": 1.0},
        {"gamma": 0.0},
        {"alpha": 0.0},
        {"t": 0.0},
        {"refocus": "paper"},
    ],
    ids=str,
)
def test_every_step_changes_the_logits(off, build, images):
    plain = {"alpha": 0.3, "t": 0.9}
    found, without = (logits(build(**{**plain, **options}), images) for options in ({}, off))
    assert (found - without).abs().max() > 1e-3


@pytest.mark.parametrize("off", [{"sigma": 1e6}, {"beta": 0.0}], ids=str)
def test_every_step_of_the_paper_changes_the_logits(off, build, images):
    found, without = (logits(build(**{"refocus": "paper", "sigma": SIGMA, **options}), images) for options in ({}, off))
    assert (found - without).abs().max() > 1e-4


@pytest.mark.parametrize("refocus", ["code", "paper"])
def test_all_blocks_keys_count(refocus, build, images, monkeypatch):
    """The mean over blocks is the idea: the last block's own keys attend otherwise."""
    model = build(refocus=refocus)
    found = logits(model, images)
    attend = model.attend_by_keys

    def attend_by_own(block, inputs, stream):
        own = block.keys_values(inputs[0])[0]
        return attend(block, inputs, replace(stream, keys=dict.fromkeys(stream.keys, own)))

    monkeypatch.setattr(model, "attend_by_keys", attend_by_own)
    assert (logits(model, images) - found).abs().max() > 1e-3


def test_the_prior_is_of_the_whole_image_or_of_the_window(build, images):
    """All windows of an image share the former; the latter is that of the window as an image of its own."""
    whole = torch.cat([images, images.flip(3)], dim=3)
    scenes = [Scene(image, (24, 64)) for image in whole]
    for options, shared in (({}, True), ({"prior_from": "window"}, False)):
        model = build(test_cfg=SLIDE, gamma=1.0, alpha=0.0, **options)
        with torch.inference_mode():
            model.prepare()
            [seen] = [model.see(scenes)]
            parts = [whole[..., : images.shape[-1]], whole[..., images.shape[-1] :]]
            left, right = (model.encode(Windows(part, seen))["logits"] for part in parts)
        assert torch.equal(left, right) == shared
        assert bool(seen[0].seen) == shared
        assert (left[0] - left[1]).abs().max() > 1e-3
        assert (left == left[..., :1, :1]).all()
        own = logits(model, parts[0])
        assert torch.equal(left, own) == (not shared)


def test_whole_images_are_seen_once(build, images):
    model = build(test_cfg=WHOLE)
    model.predict(images, [SegDataSample(metainfo={"ori_shape": (24, 32)})] * 2)
    assert model.passes == 1
    model = build(test_cfg=SLIDE, gamma=0.0, alpha=0.0)
    model.predict(images, [SegDataSample(metainfo={"ori_shape": (24, 32)})] * 2)
    assert model.passes == 1


def test_clusters_follow_the_words(build, images):
    model = build(t=0.9)
    logits(model, images)
    first = model.text_clusters()
    assert model.text_clusters() is first
    turned = F.normalize(torch.randn(*model.decode_head.text_features.shape), dim=1)
    model.decode_head.text_features = turned
    assert model.text_clusters() is not first


# -- options --------------------------------------------------------------------------------------------------------


def test_defaults_are_those_of_the_code(build_method):
    model = build_method("RFCLIP", channels=CHANNELS)
    assert (model.refocus, model.sigma, model.denoise_alpha, model.enhance_threshold) == ("code", 5.0, 0.4, 0.4)
    assert (model.linkage, model.prior_from) == ("complete", "image")
    assert (model.pamr_steps, model.whole_upsampling) == (0, "two_step")
    assert build_method("RFCLIP", channels=CHANNELS, refocus="paper").beta == 0.7


@pytest.mark.parametrize("key", IN_PAPER)
def test_configs_have_the_authors_settings(key):
    config = load_config(CONFIGS / "rf_clip" / f"rf_clip_vit-b16_{key}.py")
    model = config.model
    assert (model.gamma, model.alpha, model.t) == IN_PAPER[key]
    assert model.get("prior_from", "image") == ("window" if key == "cityscapes" else "image")
    assert model.short_side == (560 if key == "cityscapes" else 336)
    assert model.test_cfg.mode == ("whole" if key == "voc21" else "slide")
    thresholds = {"voc21", "context60", "coco_object"}
    head = model.decode_head
    assert (head.logit_scale, head.get("prob_threshold", 0)) == (40, 0.1 if key in thresholds else 0)
    large = load_config(CONFIGS / "rf_clip" / f"rf_clip_vit-l14_{key}.py").model
    assert large.channels == [250, 261, 437, 650, 720, 779, 936, 1005]
    unified = load_config(config.filename, {"protocol": "unified"}).model
    assert (unified.gamma, unified.alpha, unified.t, unified.prior_from) == (0.25, 0.03, 0.1, "image")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"refocus": "text"}, r"model\.refocus must be one of \['code', 'paper'\], but got 'text'"),
        ({"linkage": "single"}, r"model\.linkage must be one of \['complete', 'ward'\]"),
        ({"prior_from": "crop"}, r"model\.prior_from must be one of \['image', 'window'\]"),
        ({"beta": 0.5}, r"model\.beta has no effect with model\.refocus='code': set model\.beta=None"),
        (
            {"decode_head": {"subtracted_text": ""}},
            r"^model\.decode_head\.subtracted_text must be None: RFCLIP clusters and adjusts texts of length 1",
        ),
        ({"refocus": "paper", "denoise_alpha": 0.4}, r"model\.denoise_alpha has no effect with model\.refocus='paper'"),
        ({"refocus": "paper", "enhance_threshold": 0.1}, r"model\.enhance_threshold has no effect"),
        ({"refocus": "paper", "beta": 1.5}, r"model\.beta must lie in \[0, 1\], but got 1\.5"),
        ({"denoise_alpha": -0.1}, r"model\.denoise_alpha must lie in \[0, 1\]"),
        ({"enhance_threshold": 2}, r"model\.enhance_threshold must lie in \[-1, 1\]"),
        ({"gamma": 2}, r"model\.gamma must lie in \[0, 1\], but got 2"),
        ({"alpha": "x"}, r"model\.alpha must lie in \[0, 1\], but got 'x'"),
        ({"sigma": 0}, r"^model\.sigma must be positive and a number, but got 0\.$"),
        ({"t": -1}, r"^model\.t must lie in \[0, inf\], but got -1\.$"),
        ({"channels": (4, 162)}, r"model\.channels must be different numbers from 0 to 127, .* but got \(4, 162\)"),
        ({"channels": ()}, r"model\.channels must be"),
        ({"channels": (4, 4)}, r"model\.channels must be different"),
        ({"channels": "4"}, r"model\.channels must be"),
        ({"residual": True}, r"model\.residual and model\.feed_forward have no effect: RFCLIP runs its last block"),
    ],
)
def test_wrong_options_are_refused(options, message, build):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_the_channels_of_another_network_are_refused(build_method):
    with pytest.raises(ValueError, match=r"from 0 to 127, the channels of this image tower, but got \(4, 162, 189"):
        build_method("RFCLIP")


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "name"), [("", "maximum velocity"), ("-op", "optimal path")])
def test_dslo_over_it_runs_on_pocket(mode, name, tmp_path):
    leaf = CONFIGS / "dslo" / "versatility" / f"dslo_vit-pocket-rfclip{mode}_pocket_all.py"
    options = {"work_dir": str(tmp_path), "test_dataloader.num_workers": 0, "test_dataloader.dataset.indices": 2}
    data = {"test_dataloader.dataset.data_root": str(CONFIGS.parent / "data" / "pocket")}
    result = run_test(load_config(leaf, {**options, **data}))
    assert result["setting"] == f"around RFCLIP, {name}"
    assert (result["method"], result["num_images"]) == ("DSLO", 2)
