"""SAM: transformers' own pipeline, prompts in any batches, and a sentence for every way of not finding the weights."""

import json
import re
import shutil

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import SamConfig, SamImageProcessor, SamModel, SamProcessor
from transformers.utils import logging as transformers_logging

from mmseg_tfovss.encoders.sam import SAM
from mmseg_tfovss.registry import MODELS

SIDE = 64


def new_tiny_sam():
    """A SAM of 64 pixels, two blocks, patch 8, with random weights that tell places and prompts apart."""
    vision = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": 8,
        "output_channels": 16,
        "window_size": 4,
        "global_attn_indexes": [1],
        "num_pos_feats": 8,
        "mlp_dim": 32,
    }
    prompt = {"hidden_size": 16, "image_size": SIDE, "patch_size": 8, "mask_input_channels": 4}
    decoder = {"hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
    config = SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder)
    model = SamModel(config)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            noise = torch.randn(tensor.shape, generator=draw)
            if "norm" in name and name.endswith("weight"):
                tensor.copy_(1 + 0.1 * noise)
            elif "embed" in name or "token" in name:
                tensor.copy_(noise)
            else:
                tensor.copy_(1.2 * noise / tensor[0].numel() ** 0.5 if tensor.dim() > 1 else 0.05 * noise)
    return model.eval()


def write_tiny_sam(folder):
    """Save :func:`new_tiny_sam` in transformers' layout."""
    transformers_logging.disable_progress_bar()
    new_tiny_sam().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_sam(tmp_path_factory):
    return write_tiny_sam(tmp_path_factory.mktemp("sam"))


@pytest.fixture
def copied(tiny_sam, tmp_path):
    """A copy to damage."""
    return shutil.copytree(tiny_sam, tmp_path / "copied")


@pytest.fixture(scope="module")
def encoder(tiny_sam):
    return MODELS.build({"type": "SAM", "pretrained": str(tiny_sam)})


def random_image(*size, seed=0):
    return torch.randint(0, 256, (3, *size), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def random_prompts(prompts, points, size, seed=0):
    """Points (P, 2) and labels (K, P), at least one of them positive."""
    draw = torch.Generator().manual_seed(seed)
    places = torch.rand(points, 2, generator=draw) * (torch.tensor([size[1], size[0]]) - 1)
    labels = torch.randint(0, 2, (prompts, points), generator=draw)
    labels[:, 0] = 1
    return places, labels


@pytest.fixture(scope="module")
def processor():
    sides = {"height": SIDE, "width": SIDE}
    return SamProcessor(SamImageProcessor(size={"longest_edge": SIDE}, pad_size=sides))


@torch.inference_mode()
def run_transformers(model, processor, image, points, labels, *, multimask=True):
    """Image embedding, and the best mask's logits (K, H, W), by transformers' own pipeline."""
    prompts = points.expand(len(labels), -1, -1)
    inputs = processor(
        images=image.permute(1, 2, 0).numpy(),
        input_points=[prompts.double().tolist()],
        input_labels=[labels.tolist()],
        return_tensors="pt",
    )
    sizes = inputs.pop("original_sizes"), inputs.pop("reshaped_input_sizes")
    found = model(**{key: value.float() for key, value in inputs.items()}, multimask_output=multimask)
    masks = processor.image_processor.post_process_masks(found.pred_masks, *sizes, binarize=False)[0]
    best = found.iou_scores[0].argmax(dim=1)
    return model.get_image_embeddings(inputs["pixel_values"]), torch.stack([masks[k, i] for k, i in enumerate(best)])


def all_masks(encoder, *args):
    """Mask logits (K, H, W) of all prompts."""
    return torch.cat(list(encoder.masks(*args)))


@pytest.mark.parametrize(
    ("size", "multimask"), [((64, 64), True), ((50, 81), True), ((97, 40), True), ((21, 33), True), ((50, 81), False)]
)
def test_equals_transformers(size, multimask, encoder, processor, monkeypatch):
    monkeypatch.setattr(encoder, "multimask", multimask)
    image, (points, labels) = random_image(*size), random_prompts(5, 7, size)
    embedding, masks = run_transformers(encoder.model, processor, image, points, labels, multimask=multimask)
    torch.testing.assert_close(encoder.embed(image), embedding, atol=1e-5, rtol=1e-5)
    found = all_masks(encoder, image, points, labels)
    assert found.shape == (5, *size)
    assert masks.std(dim=0).mean() > 0.01  # the prompts matter
    torch.testing.assert_close(found, masks, atol=5e-4, rtol=1e-4)


def test_best_of_three_masks_is_not_always_the_same(encoder):
    """So that the test above sees a wrong choice."""
    points, labels = random_prompts(40, 6, (64, 64))
    embedding = encoder.embed(random_image(64, 64))
    found = encoder.model(
        image_embeddings=embedding, input_points=points.expand(1, 40, -1, -1), input_labels=labels[None]
    )
    assert found.iou_scores.shape == (1, 40, 3)
    assert len(found.iou_scores[0].argmax(dim=1).unique()) > 1


def test_points_of_one_prompt_or_of_each(encoder):
    image, (points, labels) = random_image(40, 60), random_prompts(3, 4, (40, 60))
    shared = all_masks(encoder, image, points, labels)
    torch.testing.assert_close(all_masks(encoder, image, points.expand(3, -1, -1), labels), shared, atol=0, rtol=0)
    own = torch.stack([points, points.flip(0), points.roll(1, 0)])
    one_by_one = torch.cat(
        [all_masks(encoder, image, one, label[None]) for one, label in zip(own, labels, strict=True)]
    )
    torch.testing.assert_close(all_masks(encoder, image, own, labels), one_by_one, atol=1e-5, rtol=1e-5)
    assert (one_by_one[1] - shared[1]).abs().max() > 1e-3


@pytest.mark.parametrize(("prompt_batch", "sizes"), [(1, [1] * 7), (3, [3, 3, 1]), (7, [7]), (100, [7])])
def test_prompts_come_in_batches_and_the_image_is_embedded_once(prompt_batch, sizes, encoder, monkeypatch):
    image, (points, labels) = random_image(40, 60), random_prompts(7, 5, (40, 60))
    expected = all_masks(encoder, image, points, labels)
    calls, inner = [], encoder.embed
    monkeypatch.setattr(encoder, "prompt_batch", prompt_batch)
    monkeypatch.setattr(encoder, "embed", lambda image: calls.append(image) or inner(image))
    chunks = list(encoder.masks(image, points, labels))
    assert [len(chunk) for chunk in chunks] == sizes
    assert len(calls) == 1
    torch.testing.assert_close(torch.cat(chunks), expected, atol=1e-5, rtol=1e-5)


def test_options_are_kept(tiny_sam):
    encoder = SAM(str(tiny_sam), prompt_batch=3, multimask=False)
    assert (encoder.prompt_batch, encoder.multimask) == (3, False)


def test_masks_of_another_size(encoder):
    """Logits go from the padding's edge to the size asked for in one step."""
    image, (points, labels) = random_image(48, 32), random_prompts(2, 3, (48, 32))
    low, _ = encoder._decode(encoder.embed(image), (points * 64 / 48).expand(2, -1, -1), labels)
    assert low.shape == (2, 32, 32)
    options = {"mode": "bilinear", "align_corners": False}
    at_side = torch.nn.functional.interpolate(low[None], size=(64, 64), **options)[..., :64, :43]
    expected = torch.nn.functional.interpolate(at_side, size=(75, 91), **options)[0]
    found = all_masks(encoder, image, points * torch.tensor([32 / 43 * 64 / 48, 1]), labels, (75, 91))
    assert found.shape == (2, 75, 91)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_float_images_are_rounded_as_they_were_bytes(encoder):
    image, (points, labels) = random_image(30, 40), random_prompts(2, 3, (30, 40))
    noisy = image + 0.3 * torch.rand(image.shape, generator=torch.Generator().manual_seed(1)) - 0.15
    assert torch.equal(all_masks(encoder, noisy, points, labels), all_masks(encoder, image, points, labels))
    assert torch.equal(
        all_masks(encoder, image.float() + 255, points, labels), all_masks(encoder, image | 255, points, labels)
    )


@pytest.mark.parametrize(("size", "grid"), [((30, 40), (6, 8)), ((20, 20), (8, 8)), ((2, 400), (1, 8))])
def test_features_on_its_own_patches_are_the_embedding(size, grid, encoder):
    """The long side has 64 pixels, a patch 8."""
    images = torch.stack([random_image(*size, seed=seed).float() for seed in (0, 1)])
    found = encoder.own_patches(images)
    assert found[0] is images
    assert found[1] == grid
    embeddings = torch.cat([encoder.embed(image) for image in images])
    assert torch.equal(encoder.features(images, grid), embeddings[..., : grid[0], : grid[1]])


def test_a_thin_image_keeps_a_pixel(encoder):
    assert encoder.resized_size((2, 400)) == (1, 64)
    assert all_masks(encoder, random_image(2, 400), torch.tensor([[200.0, 1.0]]), torch.ones(1, 1)).shape == (1, 2, 400)


def test_float64_and_padding_points(encoder, tiny_sam):
    image, (points, labels) = random_image(30, 40), random_prompts(2, 3, (30, 40))
    expected = all_masks(encoder, image, points, labels)
    double = all_masks(SAM(str(tiny_sam)).double(), image, points, labels)
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), expected, atol=1e-4, rtol=1e-4)
    with_padding = torch.cat([labels, torch.full((2, 1), -10)], dim=1)
    assert all_masks(encoder, image, torch.cat([points, points[:1]]), with_padding).isfinite().all()


def test_is_frozen_and_names_its_weights(encoder, copied):
    assert not encoder.training
    assert not encoder.model.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    state = load_file(copied / "model.safetensors")
    same = SAM(str(copied))
    assert same.weights_hash == encoder.weights_hash
    assert same.name == str(copied)
    state["vision_encoder.pos_embed"][0, 0, 0, 0] += 1
    save_file(state, copied / "model.safetensors", metadata={"format": "pt"})
    assert SAM(str(copied)).weights_hash != encoder.weights_hash


# -- weights --------------------------------------------------------------------------------------------------------


def test_half_precision_file_becomes_float32(copied):
    state = {key: value.half() for key, value in load_file(copied / "model.safetensors").items()}
    save_file(state, copied / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((copied / "config.json").read_text()) | {"dtype": "float16"}
    (copied / "config.json").write_text(json.dumps(config))
    assert {parameter.dtype for parameter in SAM(str(copied)).parameters()} == {torch.float32}


def test_a_torch_file_and_a_file_without_the_tied_parameter_give_the_same_network(encoder, copied):
    """The hub's own files leave one copy of the positions out."""
    state = load_file(copied / "model.safetensors")
    state = {key: value for key, value in state.items() if "prompt_encoder.shared_embedding" not in key}
    assert "shared_image_embedding.positional_embedding" in state
    (copied / "model.safetensors").unlink()
    torch.save(state, copied / "pytorch_model.bin")
    assert SAM(str(copied)).weights_hash == encoder.weights_hash


def test_reading_shows_no_progress_bar_and_leaves_the_setting(tiny_sam, capfd):
    transformers_logging.enable_progress_bar()
    try:
        SAM(str(tiny_sam))
        assert transformers_logging.is_progress_bar_enabled()
    finally:
        transformers_logging.disable_progress_bar()
    assert capfd.readouterr() == ("", "")
    SAM(str(tiny_sam))
    assert not transformers_logging.is_progress_bar_enabled()


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty cache of the hub, and the folder in it for facebook/sam-vit-base."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("mmseg_tfovss.encoders.hub.hub_reachable", lambda: False)
    model = tmp_path / "hub" / "models--facebook--sam-vit-base"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text("0" * 40)
    snapshot = model / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    return snapshot


def test_default_comes_from_the_hubs_cache(hub_cache, tiny_sam, encoder):
    shutil.copytree(tiny_sam, hub_cache, dirs_exist_ok=True)
    found = SAM()
    assert found.weights_hash == encoder.weights_hash
    assert found.name == "facebook/sam-vit-base"


def test_missing_from_the_hubs_cache_says_what_to_do(hub_cache):
    message = (
        r"The SAM weights facebook/sam-vit-huge are no folder here, .* could not be downloaded \(\w+\): download"
        r" config\.json and model\.safetensors from https://huggingface\.co/facebook/sam-vit-huge .* set"
        r" model\.sam\.pretrained to it\.$"
    )
    with pytest.raises(FileNotFoundError, match=message):
        SAM("facebook/sam-vit-huge")


def test_incomplete_cache_says_what_to_do(hub_cache, tiny_sam):
    shutil.copy(tiny_sam / "config.json", hub_cache)
    with pytest.raises(FileNotFoundError, match=r"has no model\.safetensors: download .*co/facebook/sam-vit-base into"):
        SAM()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_incomplete_folder_names_the_file(name, copied):
    (copied / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"copied has no {name}: download config\.json and .* set model\.sam"):
        SAM(str(copied))


@pytest.mark.parametrize("name", ["/nowhere/sam", "./sam", "~/no/sam", "a/b/c"])
def test_missing_folder_is_named(name):
    with pytest.raises(FileNotFoundError, match=rf"^Folder {name} not found: set model\.sam\.pretrained to"):
        SAM(name)


def test_folder_in_the_home_folder(tiny_sam, encoder, monkeypatch):
    monkeypatch.setenv("HOME", str(tiny_sam.parent))
    assert SAM(f"~/{tiny_sam.name}").weights_hash == encoder.weights_hash


def test_another_network_is_refused(copied):
    (copied / "config.json").write_text(json.dumps({"model_type": "clip"}))
    with pytest.raises(
        ValueError, match=r"copied does not hold a readable SAM .*\(its config\.json describes a clip\)"
    ):
        SAM(str(copied))


def test_missing_parameters_are_not_made_up(copied):
    state = load_file(copied / "model.safetensors")
    kept = {key: value for key, value in state.items() if not key.startswith("vision_encoder.neck")}
    save_file(kept, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"\(6 parameters are missing, vision_encoder\.neck\.conv1\.weight first\)"):
        SAM(str(copied))


def not_json(folder):
    (folder / "config.json").write_text("{")


def cut_off(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def of_another_size(folder):
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"]["hidden_size"] = 48
    (folder / "config.json").write_text(json.dumps(config))


def with_code(folder):
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
    (folder / "config.json").write_text(json.dumps(config))


def pickled_objects(folder):
    (folder / "model.safetensors").unlink()
    torch.save({"x": np.random.RandomState}, folder / "pytorch_model.bin")


@pytest.mark.parametrize("damage", [not_json, cut_off, of_another_size, with_code, pickled_objects])
def test_damaged_folder_is_named_in_one_sentence(damage, copied):
    damage(copied)
    with pytest.raises(
        ValueError, match=r"copied does not hold a readable SAM in transformers' layout \(.+\)\."
    ) as info:
        SAM(str(copied))
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("value", [0, -1, 2.5, "a"])
def test_prompt_batch_out_of_range_is_named(value, tiny_sam):
    with pytest.raises(ValueError, match=rf"model\.sam\.prompt_batch must be at least 1, but got {value!r}"):
        SAM(str(tiny_sam), prompt_batch=value)


@pytest.mark.parametrize(
    ("part", "changes", "why"),
    [
        ("prompt_encoder_config", {"image_size": 32}, "prompt_encoder_config.image_size 32, but it must be 64"),
        ("prompt_encoder_config", {"image_size": 128, "patch_size": 16}, "image_size 128, but it must be 64"),
        ("vision_config", {"num_channels": 4}, "num_channels 4, but it must be 3"),
    ],
)
def test_parts_that_do_not_fit_each_other_are_refused(part, changes, why, tmp_path):
    settings = new_tiny_sam().config.to_dict()
    settings[part] |= changes
    SamModel(SamConfig(**settings)).save_pretrained(tmp_path / "sam")
    with pytest.raises(ValueError, match=rf"^model\.sam\.pretrained: .* is a SAM of another shape .*{why}\): take one"):
        SAM(str(tmp_path / "sam"))


# -- attention of the image encoder -----------------------------------------------------------------------------------


@pytest.mark.parametrize("elements", [1, 1000, 2**24])
@torch.inference_mode()
def test_attention_some_rows_at_a_time_is_transformers_own(elements, tiny_sam, encoder, monkeypatch):
    monkeypatch.setattr("mmseg_tfovss.encoders.relative_attention._ELEMENTS", elements)
    image = random_image(64, 64)
    pixels = (image - encoder.mean) / encoder.std
    expected = SamModel.from_pretrained(tiny_sam).eval().get_image_embeddings(pixels[None])
    torch.testing.assert_close(encoder.embed(image), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "grid"), [((64, 64), (8, 8)), ((50, 100), (4, 8)), ((97, 40), (8, 3)), ((400, 3), (8, 1))]
)
@torch.inference_mode()
def test_last_block_is_transformers_attention_between_the_images_patches(size, grid, tiny_sam, encoder):
    image = encoder.resize(random_image(*size))
    encoded = encoder.encode(image)
    assert torch.equal(encoded.embedding, encoder.embed(image))
    assert encoded.size == encoded.resized == encoder.resized_size(size)
    block = encoded.last_block
    assert block.grid == grid
    own = SamModel.from_pretrained(tiny_sam, attn_implementation="eager").eval()
    height, width = encoded.resized
    padded = torch.zeros(3, SIDE, SIDE)
    padded[:, :height, :width] = (image - encoder.mean) / encoder.std
    seen = []
    attention = own.vision_encoder.layers[-1].attn
    attention.qkv.register_forward_hook(lambda module, args, output: seen.append(output))
    maps = (
        own.vision_encoder(padded[None], output_attentions=True)
        .attentions[-1]
        .unflatten(1, (8, 8))
        .unflatten(3, (8, 8))
    )
    expected = maps[:, : grid[0], : grid[1], : grid[0], : grid[1]].flatten(3).flatten(1, 2)
    found = torch.cat([block.attention(slice(start, start + 5)) for start in range(0, grid[0] * grid[1], 5)], dim=1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert (found.sum(dim=-1) <= 1 + 1e-5).all()
    values = seen[0][0, : grid[0], : grid[1], 64:].unflatten(2, (2, 16)).flatten(0, 1).transpose(0, 1)
    torch.testing.assert_close(block.values, values, atol=1e-5, rtol=0)


def test_a_last_block_with_windows_relates_nothing_else(tmp_path):
    config = new_tiny_sam().config.to_dict()
    config["vision_config"]["global_attn_indexes"] = [0]
    SamModel(SamConfig(**config)).save_pretrained(tmp_path / "sam")
    network = SAM(str(tmp_path / "sam"))
    with pytest.raises(ValueError, match=r"^model\.sam\.pretrained: the last block of .* within windows of 4 patches"):
        network.last_block(random_image(64, 64))


def test_an_image_resized_by_pillow_is_taken_as_it_is(encoder):
    """Torch resizes almost as Pillow does."""
    image = random_image(100, 37)
    resized = encoder.resize(image)
    assert resized.shape == (3, *encoder.resized_size((100, 37)))
    assert torch.equal(encoder.resize(resized), resized)
    height, width = resized.shape[1:]
    padded = torch.zeros(3, SIDE, SIDE)
    padded[:, :height, :width] = (resized - encoder.mean) / encoder.std
    torch.testing.assert_close(encoder.embed(resized), encoder.model.get_image_embeddings(padded[None]))


# -- prompts ----------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def test_points_boxes_and_masks_in_one_call_are_transformers_own(encoder, tiny_sam):
    own = SamModel.from_pretrained(tiny_sam).eval()
    embedding = encoder.embed(random_image(64, 64))
    draw = torch.Generator().manual_seed(3)
    points, boxes = 64 * torch.rand(3, 2, 2, generator=draw), 64 * torch.rand(3, 4, generator=draw)
    labels = torch.tensor([[1, 0], [1, 1], [1, -10]])
    mask = 3 * torch.randn(1, 1, 32, 32, generator=draw)
    for given in (
        {"points": points, "labels": labels},
        {"boxes": boxes},
        {"points": points, "labels": labels, "boxes": boxes},
    ):
        for dense in (None, mask):
            masks, scores = encoder.decode(
                embedding, **given, dense=None if dense is None else encoder.embed_masks(dense)
            )
            expected = own(
                image_embeddings=embedding,
                input_masks=dense,
                **{f"input_{name}": value[None] for name, value in given.items()},
            )
            best = expected.iou_scores[0].argmax(dim=1)
            torch.testing.assert_close(scores, expected.iou_scores[0].amax(dim=1), atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(masks, expected.pred_masks[0][torch.arange(3), best], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("prompt_batch", [1, 2, 16])
@torch.inference_mode()
def test_each_prompt_may_have_its_own_dense_embedding(prompt_batch, encoder, monkeypatch):
    embedding = encoder.embed(random_image(64, 64))
    draw = torch.Generator().manual_seed(4)
    boxes, dense = 64 * torch.rand(5, 4, generator=draw), torch.randn(5, 16, 8, 8, generator=draw)
    monkeypatch.setattr(encoder, "prompt_batch", prompt_batch)
    masks, scores = encoder.decode(embedding, boxes=boxes, dense=dense)
    for number in range(5):
        mask, score = encoder.decode(embedding, boxes=boxes[number, None], dense=dense[number, None])
        torch.testing.assert_close(masks[number], mask[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(scores[number], score[0], atol=1e-5, rtol=1e-5)
    assert (masks - encoder.decode(embedding, boxes=boxes)[0]).abs().max() > 1e-2


def test_prompts_that_are_none_are_refused(encoder):
    embedding, boxes = torch.zeros(1, 16, 8, 8), torch.zeros(2, 4)
    with pytest.raises(ValueError, match=r"needs points with labels, or a box"):
        encoder.decode(embedding)
    with pytest.raises(ValueError, match=r"needs points with labels, or a box"):
        encoder.decode(embedding, points=torch.zeros(2, 1, 2), boxes=boxes)
    with pytest.raises(ValueError, match=r"^boxes must be of shape \(2, 4\), but got \(3, 4\)"):
        encoder.decode(embedding, torch.zeros(2, 1, 2), torch.ones(2, 1), torch.zeros(3, 4))
    with pytest.raises(
        ValueError, match=r"^dense must be of shape \('1 or the number of prompts', 16, 8, 8\), but got"
    ):
        encoder.decode(embedding, boxes=boxes, dense=torch.zeros(3, 16, 8, 8))
    masks, scores = encoder.decode(embedding, boxes=torch.zeros(0, 4))
    assert (masks.shape, scores.shape) == ((0, 32, 32), (0,))


# -- the authors' own file --------------------------------------------------------------------------------------------


# Transformers' names -> those of facebookresearch/segment-anything.
OFFICIAL = (
    (r"shared_image_embedding\.positional_embedding", "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),
    (r"vision_encoder\.patch_embed\.projection\.", "image_encoder.patch_embed.proj."),
    (r"vision_encoder\.layers\.(\d)\.layer_norm(\d)", r"image_encoder.blocks.\1.norm\2"),
    (r"vision_encoder\.layers\.", "image_encoder.blocks."),
    (r"vision_encoder\.neck\.conv1", "image_encoder.neck.0"),
    (r"vision_encoder\.neck\.layer_norm1", "image_encoder.neck.1"),
    (r"vision_encoder\.neck\.conv2", "image_encoder.neck.2"),
    (r"vision_encoder\.neck\.layer_norm2", "image_encoder.neck.3"),
    (r"vision_encoder\.pos_embed", "image_encoder.pos_embed"),
    (r"mask_embed\.conv1", "mask_downscaling.0"),
    (r"mask_embed\.layer_norm1", "mask_downscaling.1"),
    (r"mask_embed\.conv2", "mask_downscaling.3"),
    (r"mask_embed\.layer_norm2", "mask_downscaling.4"),
    (r"mask_embed\.conv3", "mask_downscaling.6"),
    (r"\.point_embed\.", ".point_embeddings."),
    (r"\.transformer\.layers\.(\d)\.layer_norm(\d)", r".transformer.layers.\1.norm\2"),
    (r"\.layer_norm_final_attn", ".norm_final_attn"),
    (r"\.upscale_conv1", ".output_upscaling.0"),
    (r"\.upscale_layer_norm", ".output_upscaling.1"),
    (r"\.upscale_conv2", ".output_upscaling.3"),
    (r"(iou_prediction_head|mlps\.\d)\.layers\.0\.", r"\1.layers.1."),
    (r"(iou_prediction_head|mlps\.\d)\.proj_in\.", r"\1.layers.0."),
    (r"(iou_prediction_head|mlps\.\d)\.proj_out\.", r"\1.layers.2."),
)


def official(model):
    """The tensors of a SAM of transformers under the names of its authors."""
    state = model.state_dict()
    del state["prompt_encoder.shared_embedding.positional_embedding"]  # the same as the other one
    renamed = {}
    for name, tensor in state.items():
        for pattern, replacement in OFFICIAL:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed


@pytest.fixture(scope="module")
def authors_sam():
    """A tiny SAM as its authors build them: eight heads in the decoder, epsilons of 1e-5 there."""
    settings = new_tiny_sam().config.to_dict()
    settings["mask_decoder_config"] |= {"num_attention_heads": 8, "layer_norm_eps": 1e-5}
    torch.manual_seed(2)
    model = SamModel(SamConfig(**settings))
    with torch.no_grad():
        for tensor in model.state_dict().values():
            tensor.add_(0.1 * torch.randn(tensor.shape))
    model.prompt_encoder.shared_embedding.load_state_dict(model.shared_image_embedding.state_dict())
    return model.eval()


@pytest.mark.parametrize("wrapped", [False, True])
@torch.inference_mode()
def test_the_authors_own_file_is_the_same_network(wrapped, authors_sam, tmp_path):
    state = official(authors_sam)
    path = tmp_path / "sam_vit_b_01ec64.pth"
    torch.save({"model": {f"module.{name}": tensor for name, tensor in state.items()}} if wrapped else state, path)
    found = SAM(str(path), multimask=False)
    assert found.name == str(path)
    for name, tensor in authors_sam.state_dict().items():
        assert torch.equal(found.model.state_dict()[name], tensor), name
    pixels = ((random_image(64, 64) - found.mean) / found.std)[None]
    prompts = {"input_points": torch.full((1, 1, 1, 2), 20.0), "input_boxes": torch.tensor([[[3.0, 4.0, 40.0, 50.0]]])}
    expected = authors_sam(pixel_values=pixels, multimask_output=False, **prompts)
    embedding = found.embed(random_image(64, 64))
    masks, scores = found.decode(embedding, torch.full((1, 1, 2), 20.0), torch.ones(1, 1), prompts["input_boxes"][0])
    torch.testing.assert_close(masks, expected.pred_masks[0, :, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scores, expected.iou_scores[0, :, 0], atol=1e-5, rtol=1e-5)


def without_a_block_norm(state):
    del state["image_encoder.blocks.1.norm2.bias"]


def of_another_width(state):
    state["image_encoder.blocks.1.mlp.lin2.bias"] = torch.zeros(7)


def with_an_adapter(state):
    state["image_encoder.blocks.1.adapter.weight"] = torch.zeros(7)


def with_windows_of_two_sizes(state):
    for axis in "hw":
        state[f"image_encoder.blocks.1.attn.rel_pos_{axis}"] = torch.zeros(5, 16)


def without_prompts(state):
    for name in [name for name in state if name.startswith("prompt_encoder.")]:
        del state[name]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (without_a_block_norm, r"1 parameters are missing, vision_encoder\.layers\.1\.layer_norm2\.bias first"),
        (of_another_width, r"1 parameters are mismatched, .*vision_encoder\.layers\.1\.mlp\.lin2\.bias"),
        (with_an_adapter, r"1 parameters are unexpected, vision_encoder\.layers\.1\.adapter\.weight first"),
        (with_windows_of_two_sizes, r"its blocks have windows of \[3, 4\] patches, but they must all be the same"),
        (without_prompts, r"prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix is missing"),
        (dict.clear, r"image_encoder\.patch_embed\.proj\.weight is missing; its first keys are none"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_sentence(damage, reason, authors_sam, tmp_path):
    state = official(authors_sam)
    damage(state)
    torch.save(state, tmp_path / "sam.pth")
    message = (
        rf"^model\.sam\.pretrained: .*sam\.pth does not hold a SAM in the key layout of .*segment-anything \({reason}"
    )
    with pytest.raises(ValueError, match=message) as info:
        SAM(str(tmp_path / "sam.pth"))
    assert "\n" not in str(info.value)


def test_a_file_that_is_not_there_or_not_readable_is_named(tmp_path):
    path = tmp_path / "sam_vit_b_01ec64.pth"
    with pytest.raises(
        FileNotFoundError, match=r"^SAM file .*01ec64\.pth not found: set model\.sam\.pretrained to an exist"
    ):
        SAM(str(path))
    path.write_bytes(b"x")
    with pytest.raises(ValueError, match=r"01ec64\.pth is not a readable weights file"):
        SAM(str(path))
