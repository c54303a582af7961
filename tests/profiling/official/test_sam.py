"""A random SAM comes from the checkout's own copy of segment_anything, and has no zeros."""

import torch

from mmseg_tfovss.profiling.official.repository import Repository
from mmseg_tfovss.profiling.official.sam import write_random_sam

REGISTRY = """
import torch
def tiny(checkpoint):
    assert checkpoint is None
    network = torch.nn.Linear(4, 2)
    torch.nn.init.zeros_(network.bias)
    return network
sam_model_registry = {"tiny": tiny}
"""


class WithSAM(Repository):
    used = frozenset({"segment_anything"})


def test_it_is_written_exact_in_float16(tmp_path):
    (tmp_path / "segment_anything").mkdir()
    (tmp_path / "segment_anything/__init__.py").write_text(REGISTRY)
    before = torch.random.get_rng_state()
    one = torch.load(write_random_sam(WithSAM(tmp_path), "tiny", tmp_path / "one.pth"))
    other = torch.load(write_random_sam(WithSAM(tmp_path), "tiny", tmp_path / "other.pth"))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (one["bias"] != 0).all()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name])
        assert torch.equal(tensor, tensor.half().float())
