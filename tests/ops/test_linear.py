import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmseg_tfovss.encoders.companion import declare
from mmseg_tfovss.ops import linear as module
from mmseg_tfovss.ops.linear import Linear, linear, speed_up

with_onednn = pytest.mark.skipif(not module._ONEDNN, reason="this build of PyTorch has no oneDNN beside MKL")


@pytest.fixture
def _any_size(monkeypatch):
    monkeypatch.setattr(module, "_SMALLEST_WEIGHT", 1)
    monkeypatch.setattr(module, "_FEWEST_TOKENS", 1)


def _layer(dtype=torch.float32, width=16, out=24):
    torch.manual_seed(0)
    return torch.randn(out, width).to(dtype), torch.randn(out).to(dtype)


@pytest.mark.usefixtures("_any_size")
@pytest.mark.parametrize("shape", [(5, 16), (2, 7, 16), (16,), (0, 3, 16)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_is_the_linear_layer_of_pytorch(shape, dtype):
    weight, bias = _layer(dtype)
    inputs = torch.randn(shape).to(dtype)
    expected = F.linear(inputs.double(), weight.double(), bias.double())
    found = linear(inputs, weight, bias)
    assert found.dtype is dtype
    tolerance = 0.05 if dtype is torch.bfloat16 else 1e-5
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(linear(inputs, weight), F.linear(inputs, weight), rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("_any_size")
def test_takes_views():
    weight, _ = _layer(width=32)
    inputs = torch.randn(3, 4, 32).transpose(0, 1)[..., ::2]
    torch.testing.assert_close(linear(inputs, weight[:, :16]), inputs @ weight[:, :16].T)


@with_onednn
def test_large_frozen_layers_run_by_onednn_and_are_counted_like_others():
    weight, bias = _layer(width=512, out=512)
    inputs = torch.randn(2, 64, 512)
    with FlopCounterMode(display=False) as counter:
        linear(inputs, weight, bias)
    assert [str(name) for name in counter.get_flop_counts()["Global"]] == ["mkldnn._linear_pointwise"]
    with FlopCounterMode(display=False) as plain:
        F.linear(inputs, weight, bias)
    assert counter.get_total_flops() == plain.get_total_flops() == 2 * 128 * 512 * 512


def test_an_image_is_rounded_in_a_batch_as_alone():
    weight, bias = _layer(width=512, out=512)
    inputs = torch.randn(3, 40, 512)
    together = linear(inputs, weight, bias)
    alone = torch.cat([linear(one[None], weight, bias) for one in inputs])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-6)


@pytest.mark.usefixtures("_any_size")
def test_who_wants_gradients_gets_them():
    weight, bias = _layer()
    inputs = torch.randn(3, 16, requires_grad=True)
    linear(inputs, weight, bias).sum().backward()
    torch.testing.assert_close(inputs.grad, weight.sum(0).expand(3, 16))


@pytest.mark.usefixtures("_any_size")
@pytest.mark.filterwarnings("ignore:TF32 acceleration")
def test_onednn_can_be_switched_off():
    weight, bias = _layer()
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        linear(torch.randn(3, 16), weight, bias)
    assert "aten.addmm" in [str(name) for name in counter.get_flop_counts()["Global"]]


def test_layers_of_a_network_keep_names_and_tensors():
    network = nn.Sequential(nn.Linear(4, 5), nn.MultiheadAttention(4, 2), nn.Conv2d(1, 1, 1))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    speed_up(network)
    assert type(network[0]) is type(network[1].out_proj) is Linear
    assert type(network[2]) is nn.Conv2d
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_class_of_somebody_else_stays_as_it_is():
    class Doubled(nn.Linear):
        def forward(self, inputs):
            return 2 * super().forward(inputs)

    network = nn.Sequential(Doubled(4, 4))
    speed_up(network)
    assert type(network[0]) is Doubled


def test_companions_are_sped_up():
    network = declare(nn.Sequential(nn.Linear(4, 4)), {"type": "Any"})
    assert type(network[0]) is Linear
