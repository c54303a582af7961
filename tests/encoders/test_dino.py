"""DINOv2 through transformers, on a tiny random one, and CLIPtrase with its masks."""

import pytest
import torch
import torch.nn.functional as F

from mmseg_tfovss.encoders.dino import DINO_MEAN, DINO_STD, DINOv2Encoder


@pytest.fixture(scope="module")
def tiny_dino(tmp_path_factory):
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("dino")
    config = Dinov2Config(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14)
    Dinov2Model(config).save_pretrained(folder)
    return folder


def test_tokens_are_those_of_transformers_on_the_grid_that_is_asked_for(tiny_dino):
    from transformers import Dinov2Model

    network = DINOv2Encoder(str(tiny_dino))
    images = 255 * torch.rand(2, 3, 42, 70, generator=torch.Generator().manual_seed(0))
    normalised = (images - torch.tensor(DINO_MEAN).view(3, 1, 1)) / torch.tensor(DINO_STD).view(3, 1, 1)
    with torch.inference_mode():
        expected = Dinov2Model.from_pretrained(tiny_dino).eval()(pixel_values=normalised).last_hidden_state
        found = network(images, (3, 5))
        assert network(images, (4, 4)).shape == (2, 17, 32)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_cliptrase_clusters_its_cosines(tiny_dino, build_method):
    network = {"type": "DINOv2Encoder", "pretrained": str(tiny_dino)}
    model = build_method("CLIPtrase", test_cfg={"mode": "whole"}, mask_network=network, denoising="none")
    plain = build_method("CLIPtrase", test_cfg={"mode": "whole"}, denoising="none")
    image = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        tokens, correlation = model.encode(image)
        own_tokens, own = plain.encode(image)
        grey_levels = image * model.data_preprocessor.std + model.data_preprocessor.mean
        unit = F.normalize(model.mask_network(grey_levels, (4, 6)), dim=-1)
    assert torch.equal(tokens, own_tokens)
    torch.testing.assert_close(correlation, unit @ unit.transpose(1, 2), atol=1e-5, rtol=0)
    assert (correlation - own).abs().max() > 0.1
    assert model.predict([image[0]])[0].pred_sem_seg.data.shape == (1, 32, 48)


def test_missing_weights_say_what_to_download(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"DINOv2 .*facebook/dinov2-base.* set model\.mask_network\.pretrained"):
        DINOv2Encoder(str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"DINOv2 weights facebook/dinov2-tiny .* could not be downloaded"):
        DINOv2Encoder("facebook/dinov2-tiny")


def test_another_network_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"does not hold a readable DINOv2 .*its config\.json describes a bert"):
        DINOv2Encoder(str(tmp_path))
