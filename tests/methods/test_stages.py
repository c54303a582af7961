"""What passes between the five stages: scenes, windows, maps, canvases, and what is labelled."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmseg_tfovss.encoders.stream import Keep
from mmseg_tfovss.methods.clip import VanillaCLIP
from mmseg_tfovss.methods.sclip import SCLIP
from mmseg_tfovss.methods.stages import LOGITS, Refined
from mmseg_tfovss.ops.canvas import ComputedCanvas, PatchCanvas, PixelCanvas
from mmseg_tfovss.ops.labels import majority
from tests.methods import reference
from tests.methods.own_config import SLIDE, WHOLE
from tests.mini import BLOCKS, WIDTH

THRESHOLDS = [{}, {"prob_threshold": 0.28}, {"area_threshold": 0.3}, {"prob_threshold": 0.28, "area_threshold": 0.3}]


def images(*sizes, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(3, *size, generator=draw) for size in sizes]


def metas(inputs):
    return [{"ori_shape": image.shape[-2:], "img_path": f"{index}.jpg"} for index, image in enumerate(inputs)]


def labels_of(model, inputs):
    return [sample.pred_sem_seg.data[0] for sample in model.predict(inputs)]


# -- look ---------------------------------------------------------------------------------------------------------


class Looking(SCLIP):
    """Notes what it looks at and what it encodes."""

    def look(self, scenes):
        self.__dict__.setdefault("looked", []).append([scene.path for scene in scenes])
        return {
            "mean": torch.stack([scene.image.mean() for scene in scenes]),
            "words": [f"seen {scene.path}" for scene in scenes],
        }

    def encode(self, windows):
        self.__dict__.setdefault("encoded", []).append(windows)
        return super().encode(windows)


SIZES = ((48, 64), (48, 40), (48, 64), (48, 64))


@pytest.mark.parametrize("test_cfg", [WHOLE, SLIDE], ids=["whole", "slide"])
@pytest.mark.parametrize(
    ("window_batch", "calls"), [(16, [["0", "2", "3"], ["1"]]), (2, [["0", "2"], ["3"], ["1"]]), (1, list("0231"))]
)
def test_every_image_is_looked_at_once_and_equal_sizes_share_calls(window_batch, calls, test_cfg, build_method):
    model, inputs = build_method(Looking, test_cfg=test_cfg, window_batch=window_batch), images(*SIZES)
    assemblies = model.inference(inputs, metas(inputs))
    assert model.looked == [[f"{number}.jpg" for number in call] for call in calls]
    for index, (assembly, image) in enumerate(zip(assemblies, inputs, strict=True)):
        scene = assembly.scene
        assert torch.equal(scene.image, image)
        assert (scene.size, scene.resized, scene.path) == (image.shape[1:], image.shape[1:], f"{index}.jpg")
        assert scene.seen.keys() == {"mean", "words"}
        torch.testing.assert_close(scene.seen["mean"], image.mean())
        assert scene.seen["words"] == f"seen {index}.jpg"
        assert scene.truth is None


@pytest.mark.parametrize("window_batch", [1, 3, 16])
def test_windows_come_with_the_scenes_that_they_were_cut_from(window_batch, build_method):
    """Windows of several images in one batch."""
    model, inputs = build_method(Looking, window_batch=window_batch), images(*SIZES)
    model.inference(inputs, metas(inputs))
    found = {path: [] for path in ("0.jpg", "1.jpg", "2.jpg", "3.jpg")}
    for windows in model.encoded:
        assert len(windows.images) == len(windows.scenes) <= window_batch
        assert windows.truth is None
        for image, scene, mean in zip(windows.images, windows.scenes, windows.seen("mean"), strict=True):
            assert torch.equal(mean, scene.seen["mean"])
            found[scene.path].append(image)
    for index, image in enumerate(inputs):
        plan = model.window_plan((image.shape[1], image.shape[2]))
        assert plan.count == len(found[f"{index}.jpg"]) == (2 if index == 1 else 3) * 2
        assert torch.equal(torch.stack(found[f"{index}.jpg"]), torch.stack(plan.cut(image)))


def test_windows_alone_are_images_of_their_own(build_method):
    model, inputs = build_method(Looking), torch.stack(images((32, 32), (32, 32)))
    model.prepare()
    [assembly] = model.inference(images((48, 64), seed=1), [{"ori_shape": (48, 64)}])
    with torch.inference_mode():
        alone = model.patch_logits(inputs)
        [_, windows] = model.encoded[-2:]
        torch.testing.assert_close(windows.seen("mean"), inputs.mean(dim=(1, 2, 3)))
        given = model.patch_logits(inputs, [assembly.scene] * 2)
    assert torch.equal(alone, given)
    assert all(scene is assembly.scene for scene in model.encoded[-1].scenes)


class Oracle(Looking):
    """Asks for labels."""

    reads_truth = True


def test_oracles_windows_come_with_their_labels(build_method):
    """At the size of the network's input, 1 more than the labels; 0 where a window was padded."""
    model, inputs = build_method(Oracle, pad_to=20), images((48, 64), (24, 40))
    truths = [torch.arange(96 * 128).view(1, 96, 128) % 5, torch.full((1, 24, 40), 255)]
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=truth), metainfo={"ori_shape": truth.shape[1:]}) for truth in truths
    ]
    model.predict(inputs, samples)
    expected = [F.interpolate(truths[0][None] + 1.0, size=(48, 64), mode="nearest-exact")[0], truths[1] + 1.0]
    windows = [
        torch.stack(model.window_plan((image.shape[1], image.shape[2])).cut(torch.cat([image, truth])))
        for image, truth in zip(inputs, expected, strict=True)
    ]
    [batch] = model.encoded  # padded, the windows of both images are of one size
    assert torch.equal(batch.images, torch.cat(windows)[:, :3])
    assert torch.equal(batch.truth, torch.cat(windows)[:, 3])
    assert batch.truth[0, 0, 0] == 0
    assert batch.truth[0, 20, 20] > 0


def test_others_are_not_told_the_labels(build_method):
    model, inputs = build_method(Looking), images((48, 64))
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.ones(1, 48, 64)), metainfo={"ori_shape": (48, 64)})
    model.predict(inputs, [sample])
    assert all(windows.truth is None and windows.scenes[0].truth is None for windows in model.encoded)


# -- the blocks ---------------------------------------------------------------------------------------------------


def blocks_by_hand(state, tokens):
    """Query-key attention through all blocks: what comes out of each, projections and attention, each by block."""
    found = {}
    for number in range(1, BLOCKS + 1):
        weights = reference.block_weights(state, number)
        query, key, value = reference.qkv(weights, tokens)
        attention = [(one @ two.transpose(1, 2) / 8).softmax(dim=-1) for one, two in zip(query, key, strict=True)]
        tokens = tokens + reference.merge(weights, [a @ v for a, v in zip(attention, value, strict=True)])
        tokens = tokens + reference.feed_forward(weights, tokens)
        projections = tuple(torch.stack(part, dim=1) for part in (query, key, value))
        found[number] = (tokens, projections, torch.stack(attention, dim=1))
    return found


def test_what_is_kept_of_the_blocks_is_theirs_and_no_more(build_method, mini_state):
    model = build_method("CLIP").double()
    model.keep = Keep(tokens=(1, BLOCKS), projections=(2,), attention=(2, BLOCKS))
    inputs = torch.stack(images((32, 48), (32, 48))).double()
    with torch.inference_mode():
        stream, embedded = model.run_blocks(inputs), model.backbone.embed(inputs)
    expected = blocks_by_hand(mini_state, embedded)
    assert torch.equal(stream.images, inputs)
    assert stream.grid == (4, 6)
    torch.testing.assert_close(stream.tokens, expected[BLOCKS][0], atol=1e-5, rtol=0)
    assert (set(stream.kept_tokens), set(stream.projections), set(stream.attention)) == ({1, 3}, {2}, {2, 3})
    for number, tokens in stream.kept_tokens.items():
        torch.testing.assert_close(tokens, expected[number][0], atol=1e-5, rtol=0)
    for ours, theirs in zip(stream.projections[2], expected[2][1], strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    for number, attention in stream.attention.items():
        torch.testing.assert_close(attention, expected[number][2], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "keep", [Keep(tokens=(0,)), Keep(projections=(BLOCKS + 1,)), Keep(attention=(1, -1)), Keep(keys=(0,))]
)
def test_blocks_that_are_not_there_cannot_be_kept(keep, build_method):
    model = build_method("CLIP")
    model.keep = keep
    with pytest.raises(
        ValueError, match=r"^Block (0|4|-1) is to be kept, but CLIP's image tower has the blocks 1 \.\. 3"
    ):
        model.run_blocks(torch.stack(images((32, 32))))


@pytest.mark.parametrize("method", ["CLIP", "SCLIP"])
def test_keeping_changes_nothing_and_nothing_is_kept_unasked(method, build_method):
    model, inputs = build_method(method), torch.stack(images((32, 48)))
    with torch.inference_mode():
        plain = model.run_blocks(inputs)
        assert not plain.kept_tokens
        assert not plain.projections
        assert not plain.attention
        model.keep = Keep(tokens=(1, 2), projections=(1,), attention=(2,))
        torch.testing.assert_close(model.run_blocks(inputs).tokens, plain.tokens, atol=1e-6, rtol=0)


def test_attend_finds_what_was_kept_and_given(build_method):
    class Early(VanillaCLIP):
        """Takes the attention of the first block for that of the last one, plus something given."""

        keep = Keep(tokens=(1,), attention=(1,))

        def extract_feat(self, inputs):
            stream = self.run_blocks(inputs, {"shift": inputs.mean(dim=(1, 2, 3))})
            return self.backbone.to_text_space(stream.tokens, stream.grid)

        def attend(self, block, tokens, stream):
            self.stream = stream
            _, _, value = block.qkv(tokens)
            return block.merge_heads(stream.attention[1] @ value) + stream.given["shift"][:, None, None]

    model, inputs = build_method(Early), torch.stack(images((32, 32)))
    model.prepare()
    with torch.inference_mode():
        first = model.backbone.blocks[0](model.backbone.embed(inputs))
        before = model.backbone.blocks[1](first)
        model.patch_logits(inputs)
        torch.testing.assert_close(model.stream.kept_tokens[1], first, atol=1e-5, rtol=0)
        last = model.backbone.blocks[-1]
        query, key, _ = model.backbone.blocks[0].qkv(model.backbone.embed(inputs))
        mixed = (query @ key.transpose(-1, -2) / 8).softmax(dim=-1) @ last.qkv(before)[2]
        expected = before + last.merge_heads(mixed) + inputs.mean()
        torch.testing.assert_close(model.stream.tokens, expected + last.feed_forward(expected), atol=1e-4, rtol=0)


class Plus:
    """A plug-in that adds to the tokens, or takes the place of a block."""

    def __init__(self, number, value, instead=False):
        self.number, self.value, self.instead = number, value, instead

    def run_block(self, number, block, stream, projections):
        return stream.tokens + self.value if self.instead and number == self.number else None

    def after_block(self, number, stream):
        return stream.tokens * self.value if not self.instead and number == self.number else stream.tokens


def test_plugins_act_one_after_the_other_and_the_first_takes_a_blocks_place(build_method):
    model, inputs = build_method("CLIP"), torch.stack(images((32, 32)))
    model.keep = Keep(tokens=(1, 2))
    model.plugins += [
        Plus(1, 10.0, instead=True),
        Plus(1, 20.0, instead=True),
        Plus(1, 2.0),
        Plus(1, 0.5),
        Plus(2, 3.0),
    ]
    with torch.inference_mode():
        stream = model.run_blocks(inputs)
        expected = model.backbone.embed(inputs) + 10.0
        assert torch.equal(stream.kept_tokens[1], expected)
        assert torch.equal(stream.kept_tokens[2], 3.0 * model.backbone.blocks[1](expected))
        assert torch.equal(stream.tokens, model.backbone.blocks[2](stream.kept_tokens[2]))


def test_plugins_do_not_touch_the_last_block(build_method):
    model, inputs = build_method("SCLIP"), torch.stack(images((32, 32)))
    with torch.inference_mode():
        plain = model.run_blocks(inputs).tokens
        model.plugins += [Plus(BLOCKS, 10.0, instead=True), Plus(BLOCKS, 2.0)]
        assert torch.equal(model.run_blocks(inputs).tokens, plain)


# -- from maps to canvases ----------------------------------------------------------------------------------------


class Spliced(SCLIP):
    """A map that is averaged on patches: row and column of each patch in its window, and the pixel of its corner."""

    spliced = frozenset({"places"})

    def encode(self, windows):
        maps = super().encode(windows)
        grid = maps[LOGITS].shape[-2:]
        rows, columns = torch.meshgrid(*(torch.arange(float(n)) for n in grid), indexing="ij")
        places = torch.stack([rows, columns]).expand(len(windows.images), -1, -1, -1)
        corners = windows.images[:, :1, ::8, ::8][..., : grid[0], : grid[1]]
        return {**maps, "places": torch.cat([places, corners], dim=1)}


def test_spliced_maps_are_means_on_the_patches_of_the_image(build_method):
    [image] = images((48, 64))
    model = build_method(Spliced, test_cfg={"mode": "slide", "crop_size": (32, 48), "stride": (16, 16)})
    [assembly] = model.inference([image], [{"ori_shape": (60, 90)}])
    canvas = assembly.canvases["places"]
    assert isinstance(canvas, PatchCanvas)
    assert (canvas.size, canvas.channels, canvas.grid) == ((60, 90), 3, (6, 8))
    # Windows of 4x6 patches begin at the rows 0 and 2 and the columns 0 and 2.
    rows = torch.tensor([0, 1, (2 + 0) / 2, (3 + 1) / 2, 2, 3])
    columns = torch.tensor([0, 1, (2 + 0) / 2, (3 + 1) / 2, (4 + 2) / 2, (5 + 3) / 2, 4, 5])
    torch.testing.assert_close(canvas.patches[0], rows[:, None].expand(6, 8))
    torch.testing.assert_close(canvas.patches[1], columns.expand(6, 8))
    torch.testing.assert_close(canvas.patches[2], image[0, ::8, ::8])
    expected = F.interpolate(canvas.patches[None], size=(60, 90), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(canvas.dense(), expected, atol=1e-5, rtol=0)
    assert canvas.on_grid((6, 8)) is canvas.patches
    plain = build_method("SCLIP", test_cfg={"mode": "slide", "crop_size": (32, 48), "stride": (16, 16)})
    [other] = plain.inference([image], [{"ori_shape": (60, 90)}])
    assert torch.equal(assembly.canvases[LOGITS].dense(), other.canvases[LOGITS].dense())


@pytest.mark.parametrize("size", [(48, 64), (50, 61)])
def test_on_one_window_splicing_is_stitching(size, build_method):
    """Also where some pixels lie beyond the last whole patch."""

    class All(SCLIP):
        spliced = frozenset({LOGITS})

    [image] = images(size)
    found = [
        build_method(kind, test_cfg=WHOLE).inference([image], [{"ori_shape": (60, 90)}])[0] for kind in (All, SCLIP)
    ]
    one, other = (assembly.canvases[LOGITS] for assembly in found)
    assert torch.equal(one.patches, other.patches)
    assert torch.equal(one.dense(), other.dense())


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"test_cfg": {"mode": "slide", "crop_size": 32, "stride": 12}}, (48, 64)),
        ({"test_cfg": {"mode": "slide", "crop_size": 30, "stride": 16}}, (48, 64)),
        ({"test_cfg": {"mode": "slide", "crop_size": 32, "stride": 16}}, (50, 64)),
        ({"test_cfg": {"mode": "slide", "crop_size": 32, "stride": 16}, "pad_to": 48}, (48, 64)),
    ],
    ids=str,
)
def test_windows_that_cannot_be_spliced_are_named(options, size, build_method):
    inputs = images(size)
    with pytest.raises(ValueError, match=r"cannot be spliced: sizes and steps must be multiples of the patch"):
        build_method(Spliced, **options).predict(inputs)


@pytest.mark.parametrize("upsampling", ["direct", "two_step"])
def test_whole_images_lie_evenly_on_their_patches(upsampling, build_method):
    model = build_method("SCLIP", test_cfg=WHOLE, whole_upsampling=upsampling)
    [assembly] = model.inference(images((48, 64)), [{"ori_shape": (60, 90)}])
    canvas = assembly.canvases[LOGITS]
    assert canvas.on_grid((6, 8)) is canvas.patches
    [several] = build_method("SCLIP").inference(images((48, 64)), [{"ori_shape": (60, 90)}])
    canvas = several.canvases[LOGITS]
    expected = F.adaptive_avg_pool2d(canvas.dense()[None], canvas.grid)[0]
    torch.testing.assert_close(canvas.on_grid(canvas.grid), expected)
    assert not torch.equal(canvas.patches, expected)


# -- what is labelled ---------------------------------------------------------------------------------------------


def method_that_refines(make):
    """A method that makes something of its canvas of logits."""

    class Refining(SCLIP):
        def refine(self, scene, canvases):
            return make(canvases[LOGITS])

    return Refining


def computed(canvas):
    """Blocks of two queries and of fifteen rows, made anew every time."""
    dense = canvas.dense()
    height, queries = canvas.size[0], canvas.channels

    def make():
        for first in range(0, queries, 2):
            for top in range(0, height, 15):
                rows, chosen = slice(top, min(top + 15, height)), slice(first, min(first + 2, queries))
                yield rows, chosen, dense[chosen, rows].transpose(0, 1).clone()

    return ComputedCanvas(canvas.size, queries, canvas.device, make)


@pytest.mark.parametrize("thresholds", THRESHOLDS, ids=str)
@pytest.mark.parametrize("test_cfg", [WHOLE, SLIDE], ids=["whole", "slide"])
@pytest.mark.parametrize(
    "make",
    [
        lambda canvas: Refined(PixelCanvas(canvas.dense())),
        lambda canvas: Refined(computed(canvas)),
        lambda canvas: Refined(canvas, queries=torch.arange(7)),
    ],
    ids=["pixels", "computed", "all queries"],
)
def test_any_canvas_is_labelled_as_patches_are(make, test_cfg, thresholds, build_method):
    inputs = images((48, 64), (40, 40))
    plain = build_method("SCLIP", test_cfg=test_cfg, decode_head=thresholds)
    model = build_method(method_that_refines(make), test_cfg=test_cfg, decode_head=thresholds)
    for found, expected in zip(labels_of(model, inputs), labels_of(plain, inputs), strict=True):
        assert torch.equal(found, expected)
    without = labels_of(build_method("SCLIP", test_cfg=test_cfg), inputs)
    assert not thresholds or any(not torch.equal(*pair) for pair in zip(without, labels_of(plain, inputs), strict=True))


@pytest.mark.parametrize("thresholds", THRESHOLDS[:3], ids=str)
def test_logits_may_be_their_own_confidence(thresholds, build_method):
    """Unless an area_threshold has taken the best class away: its probability is what the confidence is."""
    inputs = images((48, 64), (40, 40))
    kind = method_that_refines(lambda canvas: Refined(canvas, confidence=PixelCanvas(canvas.dense())))
    found, expected = (labels_of(build_method(one, decode_head=thresholds), inputs) for one in (kind, SCLIP))
    assert all(torch.equal(*pair) for pair in zip(found, expected, strict=True))


def test_exported_logits_do_not_depend_on_the_canvas_either(build_method):
    [image] = images((48, 64))
    found = []
    for make in (
        Refined,
        lambda canvas: Refined(PixelCanvas(canvas.dense())),
        lambda canvas: Refined(computed(canvas)),
    ):
        model = build_method(method_that_refines(make))
        found.append(model.dense_logits(model.inference([image], [{"ori_shape": (60, 90)}])[0]))
    assert torch.equal(found[1], found[2])
    assert torch.equal(found[0], found[1])


@pytest.mark.parametrize("area_threshold", [0.0, 0.3])
def test_rejected_queries_win_nowhere(area_threshold, build_method):
    """As if their logits were minus infinity."""
    kept, [image] = torch.tensor([0, 3, 4, 6]), images((48, 64))

    def some(canvas):
        return Refined(PixelCanvas(canvas.dense()[kept]), queries=kept)

    def low(canvas):
        dense = torch.full_like(canvas.dense(), -torch.inf)
        dense[kept] = canvas.dense()[kept]
        return Refined(PixelCanvas(dense))

    models = [
        build_method(method_that_refines(make), decode_head={"area_threshold": area_threshold}) for make in (some, low)
    ]
    found, expected = (labels_of(model, [image])[0] for model in models)
    assert torch.equal(found, expected)
    assert set(found.unique().tolist()) <= {0, 2, 3}
    dense = [model.dense_logits(model.inference([image], [{"ori_shape": (48, 64)}])[0]) for model in models]
    assert torch.equal(*dense)


def test_the_threshold_looks_at_the_confidence_and_labels_at_the_logits(build_method):
    [image] = images((48, 64))

    def doubled(canvas):
        return Refined(PixelCanvas(canvas.dense().flip(0)), confidence=canvas)

    def flipped(canvas):
        return Refined(PixelCanvas(canvas.dense().flip(0)))

    head = {"prob_threshold": 0.28}
    [found] = labels_of(build_method(method_that_refines(doubled), decode_head=head), [image])
    [labels] = labels_of(build_method(method_that_refines(flipped)), [image])
    plain = build_method("SCLIP")
    dense = plain.dense_logits(plain.inference([image], [{"ori_shape": (48, 64)}])[0])
    sure = (plain.decode_head.logit_scale * dense).softmax(dim=0).amax(dim=0) >= 0.28
    assert 0 < sure.float().mean() < 1
    assert torch.equal(found, labels * sure)


@pytest.mark.parametrize("thresholds", THRESHOLDS, ids=str)
def test_regions_take_the_class_of_most_of_their_pixels(thresholds, build_method):
    """Thresholds come before the vote."""
    [image] = images((48, 64))
    regions = (torch.arange(48)[:, None] // 12) * 4 + torch.arange(64) // 16
    model = build_method(method_that_refines(lambda canvas: Refined(canvas, regions=regions)), decode_head=thresholds)
    [found] = labels_of(model, [image])
    [own] = labels_of(build_method("SCLIP", decode_head=thresholds), [image])
    assert torch.equal(found, majority(own, regions, 4))
    assert len(found.unique()) > 1
    assert not torch.equal(found, own)


def test_labels_may_look_at_the_scene(build_method):
    class Dark(SCLIP):
        """Dark pixels are background."""

        def label(self, scene, refined):
            labels = super().label(scene, refined)
            return labels * (scene.image.mean(dim=0) > 0)

    [image] = images((48, 64))
    [found], [plain] = (labels_of(build_method(kind), [image]) for kind in (Dark, SCLIP))
    assert torch.equal(found, plain * (image.mean(dim=0) > 0))
    assert not torch.equal(found, plain)


def test_pamr_reads_the_image_of_the_scene_and_any_canvas_of_logits(build_method):
    class Pixels(SCLIP):
        def refine(self, scene, canvases):
            return super().refine(scene, {LOGITS: PixelCanvas(canvases[LOGITS].dense())})

    [image] = images((48, 64))
    options = {"pamr_steps": 3, "pamr_dilations": (1, 2)}
    models = [build_method(kind, **options) for kind in (Pixels, SCLIP)]
    found, expected = (model.dense_logits(model.inference([image], [{"ori_shape": (60, 90)}])[0]) for model in models)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)


def test_the_passes_through_the_blocks_are_counted(build_method):
    model = build_method("SCLIP", window_batch=4)
    model.predict(images((48, 64)))
    assert model.passes == 2


def test_tokens_behind_the_last_block_have_the_towers_width(build_method):
    with torch.inference_mode():
        stream = build_method("SCLIP").run_blocks(torch.stack(images((32, 48))))
    assert stream.tokens.shape == (1, 25, WIDTH)
