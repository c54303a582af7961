"""What waits on a GPU, operation by operation."""

import pytest
import torch

from mmseg_tfovss.profiling.pretend import PRETEND, FarTensor, pretend_device

WAITS = {
    "item": (lambda x: x.sum().item(), "_local_scalar_dense"),
    "bool": (lambda x: bool((x > 0).any()), "_local_scalar_dense"),
    "int": (lambda x: int(x.argmax()), "_local_scalar_dense"),
    "tolist": (lambda x: x.tolist(), "copy to the host"),
    "cpu": (lambda x: x.cpu().numpy(), "copy to the host"),
    "copy_": (lambda x: torch.zeros(3).copy_(x), "copy to the host"),
    "nonzero": (lambda x: x.nonzero(), "nonzero"),
    "where": (lambda x: torch.where(x > 0), "nonzero"),
    "masked_select": (lambda x: x.masked_select(x > 0), "masked_select"),
    "a mask": (lambda x: x[x > 0], "indexing by a mask"),
    "assigning to a mask": (lambda x: x.__setitem__(x > 0, torch.zeros(1).to(x, non_blocking=True)), None),
    "unique": (lambda x: x.unique(), "_unique2"),
    "equal": (lambda x: torch.equal(x, x), "equal"),
    "bincount": (lambda x: x.long().bincount(minlength=4), "bincount"),
    "repeat_interleave": (lambda x: x.repeat_interleave(x.long()), "repeat_interleave"),
    "eigh": (lambda x: torch.linalg.eigh(torch.outer(x, x)), "_linalg_eigh"),
    "a constant": (lambda x: x + torch.tensor([1.0, 2.0, 3.0], device=x.device), "copy to the device"),
    "new_tensor": (lambda x: x.new_tensor([1.0]), "copy to the device"),
    "to": (lambda x: torch.arange(3.0).to(x), "copy to the device"),
    "a list as index": (lambda x: x[[0, 2]], "indexing by a tensor of the host"),
}
DOES_NOT_WAIT = {
    "products": lambda x: torch.outer(x, x) @ x,
    "softmax": lambda x: x.softmax(dim=0).argmax(),
    "where": lambda x: torch.where(x > 0, x, 0.0),
    "masked_fill_": lambda x: x.masked_fill_(x > 1, 0),
    "an index": lambda x: x[x.argsort()],
    "slices": lambda x: x[1:].add_(1),
    "assigning a number": lambda x: x.__setitem__(slice(1), 5.0),
    "made there": lambda x: torch.arange(3, device=x.device) + torch.full((3,), 2.0, device=x.device) + x.new_zeros(3),
    "numbers of Python": lambda x: 2 * x / 3 + 1,
    "median": lambda x: x.median(dim=0).values,
    "scatter_add_": lambda x: torch.zeros(4, device=x.device).scatter_add_(0, x.long(), x),
    "without blocking": lambda x: torch.arange(3.0).to(x.device, non_blocking=True),
    "with output_size": lambda x: x.repeat_interleave(x.long(), output_size=3),
    "out": lambda x: torch.sub(x, 1, out=torch.empty_like(x)),
}


@pytest.fixture
def device():
    with pretend_device() as made:
        yield made


def far(device, values=(0.0, 1.0, 2.0)):
    found = torch.tensor(values).to(PRETEND)
    device.syncs.clear()
    return found


@pytest.mark.parametrize("name", WAITS)
def test_what_waits_is_noted_with_its_place(name, device):
    work, operation = WAITS[name]
    x = far(device)
    work(x)
    assert {sync.operation for sync in device.syncs} == {operation or "indexing by a mask"}
    assert all(sync.place.startswith("test_operations.py:") for sync in device.syncs)


@pytest.mark.parametrize("inference", [True, False])
@pytest.mark.parametrize("name", DOES_NOT_WAIT)
def test_what_does_not_wait_is_not_noted_and_has_the_same_values(name, inference, device):
    work, x = DOES_NOT_WAIT[name], far(device)
    with torch.inference_mode(inference):
        found = work(x)
        expected = work(torch.tensor([0.0, 1.0, 2.0]))
    assert device.syncs == []
    if expected is not None:
        assert isinstance(found, FarTensor)
        assert found.device == PRETEND
        assert torch.equal(found.near, expected)


def test_views_share_memory(device):
    x = far(device)
    x.view(3, 1)[1:].fill_(7)
    assert x.near.tolist() == [0, 7, 7]


def test_tensors_on_two_sides_are_refused(device):
    with pytest.raises(RuntimeError, match=r"mul was given tensors on two devices: test_operations\.py"):
        far(device) * torch.arange(3.0)


def test_numbers_of_the_host_mix_with_tensors_of_the_device(device):
    assert torch.equal((far(device) * torch.tensor(2.0)).near, torch.tensor([0.0, 2.0, 4.0]))
    assert device.syncs == []


def test_a_module_moves(device):
    layer = torch.nn.Linear(3, 2)
    expected = layer(torch.arange(3.0))
    assert torch.equal(layer.to(PRETEND)(far(device)).near, expected)
