"""Files in the key layouts of DINO, DINOv2 and MAE: the same networks as timm's, or one sentence."""

import pytest
import torch
from timm.layers import SwiGLUPacked
from timm.models.vision_transformer import VisionTransformer

from mmseg_tfovss.encoders import DINO, MAE, DINOv2, DINOv2Registers
from mmseg_tfovss.encoders.dino import DINO_MEAN, DINO_STD

SIZES = {"img_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 3, "num_heads": 2, "num_classes": 0}
REGISTERS = 3


def reference(kind):
    """A network of timm's with random numbers, and its tensors under the authors' names."""
    scaled = {"init_values": 1.0} if kind.startswith("DINOv2") else {}
    if kind == "DINOv2-gated":  # the giant's feed-forward
        scaled |= {"mlp_layer": SwiGLUPacked, "act_layer": torch.nn.SiLU, "mlp_ratio": 2 * 176 / 64}
    registers = {"reg_tokens": REGISTERS, "no_embed_class": True} if kind == "DINOv2Registers" else {}
    torch.manual_seed(0)
    network = VisionTransformer(**SIZES, **scaled, **registers).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_((0.5 if parameter.dim() == 1 else 0.2) * torch.randn(parameter.shape))
    gated = {"fc1": "w12", "fc2": "w3"} if kind == "DINOv2-gated" else {}
    state = {}
    for name, tensor in network.state_dict().items():
        part = name.split(".")[-2] if "." in name else ""
        state[name.replace(part, gated.get(part, part)).replace("reg_token", "register_tokens")] = tensor
    if kind == "DINOv2Registers":  # timm has the class token's position in the token
        place = torch.randn(1, 1, 64)
        state["pos_embed"] = torch.cat([place, state["pos_embed"]], dim=1)
        state["cls_token"] = state["cls_token"] - place
    if kind.startswith("DINOv2"):
        state["mask_token"] = torch.randn(1, 64)
    return network, state


KINDS = {"DINO": DINO, "MAE": MAE, "DINOv2": DINOv2, "DINOv2-gated": DINOv2, "DINOv2Registers": DINOv2Registers}
PLAIN = {"DINO": DINO, "MAE": MAE, "DINOv2": DINOv2, "DINOv2Registers": DINOv2Registers}


def bare(state):
    return state


def in_a_full_checkpoint(state):
    teacher = {f"module.backbone.{name}": tensor for name, tensor in state.items()}
    teacher["module.head.mlp.0.weight"] = torch.zeros(4, 4)
    student = {name: tensor + 1 for name, tensor in teacher.items()}
    return {"student": student, "teacher": teacher, "epoch": 7}


def under_model(state):
    return {"model": state}


@pytest.mark.parametrize("wrap", [bare, in_a_full_checkpoint, under_model])
@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_a_file_gives_timms_tokens_and_projections(kind, wrap, tmp_path):
    network, state = reference(kind)
    path = tmp_path / "weights.pth"
    torch.save(wrap(state), path)
    found = KINDS[kind](str(path))
    assert (found.name, found.patch_size, found.depth) == (str(path), 8, 3)
    images = 255 * torch.rand(2, 3, 32, 32)
    normalised = (images - torch.tensor(DINO_MEAN).view(3, 1, 1)) / torch.tensor(DINO_STD).view(3, 1, 1)
    registers = REGISTERS if kind == "DINOv2Registers" else 0
    seen = []
    hook = network.blocks[-1].attn.qkv.register_forward_hook(lambda module, args, output: seen.append(output))
    expected = network.forward_features(normalised)
    hook.remove()
    torch.testing.assert_close(found.tokens(images, (4, 4))[:, 1:], expected[:, 1 + registers :], atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(found.tokens(images, (4, 4))[:, 0], expected[:, 0], atol=2e-4, rtol=1e-4)
    projections = seen[0][:, 1 + registers :].unflatten(2, (3, 2, 32)).permute(2, 0, 3, 1, 4)
    for ours, theirs in zip(found.projections(images, (4, 4)), projections, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-4)


@torch.inference_mode()
def test_heads_are_64_channels_wide_but_two_at_least(tmp_path):
    _, state = reference("DINO")
    torch.save(state, tmp_path / "dino.pth")
    assert DINO(str(tmp_path / "dino.pth")).model.config.num_attention_heads == 2
    assert DINO(str(tmp_path / "dino.pth"), heads=4).projections(torch.zeros(1, 3, 8, 8), (1, 1))[0].shape == (
        1,
        4,
        1,
        16,
    )
    with pytest.raises(ValueError, match=r"its width 64 cannot be shared by 3 heads; set the option heads"):
        DINO(str(tmp_path / "dino.pth"), heads=3)


@pytest.mark.parametrize("kind", PLAIN)
def test_a_saved_file_of_mae_needs_no_decoder_and_others_refuse_one(kind, tmp_path):
    _, state = reference("MAE")
    state |= {"mask_token": torch.zeros(1, 1, 64), "decoder_embed.weight": torch.zeros(32, 64)}
    torch.save({"model": state}, tmp_path / "mae.pth")
    if kind == "MAE":
        assert MAE(str(tmp_path / "mae.pth")).patch_size == 8
        return
    with pytest.raises(
        ValueError, match=rf"mae\.pth does not hold a {PLAIN[kind].network.name} in the key layout of face"
    ):
        PLAIN[kind](str(tmp_path / "mae.pth"))


def lacking_a_tensor(state):
    del state["blocks.1.norm2.bias"]


def lacking_the_blocks(state):
    for name in [name for name in state if name.startswith("blocks.")]:
        del state[name]


def of_another_width(state):
    state["blocks.2.attn.proj.weight"] = torch.zeros(64, 32)


def with_an_adapter(state):
    state["blocks.2.adapter"] = torch.zeros(3)


def on_no_square(state):
    state["pos_embed"] = torch.zeros(1, 1 + 15, 64)


def of_grey_images(state):
    state["patch_embed.proj.weight"] = torch.zeros(64, 1, 8, 8)


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lacking_a_tensor, r"blocks\.1\.norm2\.bias is missing"),
        (lacking_the_blocks, r"blocks\.0\..* is missing"),
        (of_another_width, r"blocks\.2\.attn\.proj\.weight is of shape \(64, 32\), but it must be \(64, 64\)"),
        (with_an_adapter, r"it has blocks\.2\.adapter, which such a network does not have"),
        (on_no_square, r"pos_embed is of shape \(1, 16, 64\), but it must be \(1, 10, 64\)"),
        (of_grey_images, r"patch_embed\.proj\.weight is of shape \(64, 1, 8, 8\), but it must be \(64, 3, 8, 8\)"),
        (dict.clear, r"patch_embed\.proj\.weight is missing; its first keys are none"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(damage, reason, kind, tmp_path):
    _, state = reference(kind)
    damage(state)
    torch.save(state, tmp_path / "weights.pth")
    network = PLAIN[kind].network
    message = (
        rf"^model\.graph\.pretrained: .*weights\.pth does not hold a {network.name} in the key layout of .* \({reason}"
    )
    with pytest.raises(ValueError, match=message) as info:
        PLAIN[kind](str(tmp_path / "weights.pth"))
    assert "\n" not in str(info.value)
    assert network.default in str(info.value)


@pytest.mark.parametrize(
    ("found", "kind", "reason"),
    [
        ("DINOv2", "DINO", r"it has (mask_token|blocks\.0\.ls1\.gamma), which"),
        ("DINO", "DINOv2", r"blocks\.0\.ls1\.gamma is missing"),
        ("DINOv2", "DINOv2Registers", r"register_tokens are missing"),
        ("DINOv2Registers", "DINOv2", r"it has register_tokens, which such a network does not have"),
    ],
)
def test_another_architecture_is_named_by_what_differs(found, kind, reason, tmp_path):
    torch.save(reference(found)[1], tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=reason):
        PLAIN[kind](str(tmp_path / "weights.pth"))


@pytest.mark.parametrize("kind", PLAIN)
def test_files_that_are_not_there_or_not_readable_are_named(kind, tmp_path):
    path = tmp_path / "weights.pth"
    network = PLAIN[kind].network
    with pytest.raises(
        FileNotFoundError, match=rf"^{network.name} file .*weights\.pth not found: set model\.graph\.pretr"
    ):
        PLAIN[kind](str(path))
    path.write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"weights\.pth is not a readable weights file"):
        PLAIN[kind](str(path))
    torch.save({"teacher": {f"backbone.{name}": tensor for name, tensor in reference(kind)[1].items()}} |
               {"teacher2": {"teacher": reference(kind)[1]}}, path)  # fmt: skip
    with pytest.raises(ValueError, match=r"it holds 2 of them, teacher\.backbone and teacher2\.teacher"):
        PLAIN[kind](str(path))


def test_a_part_of_another_network_is_not_taken(tmp_path):
    torch.save({f"vision_tower.{name}": tensor for name, tensor in reference("DINO")[1].items()}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"patch_embed\.proj\.weight is missing; its first keys are vision_tower\."):
        DINO(str(tmp_path / "a.pth"))
