"""TorchScript archives read as data: torch.jit.load's state dict to the bit, and none of their code."""

import os
import pickle
import pickletools
import zipfile

import pytest
import torch
from torch import Tensor, nn

from mmseg_tfovss.encoders.torchscript import is_torchscript, read_torchscript
from mmseg_tfovss.encoders.weight_files import read_weights
from tests import mini

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")


class Block(nn.Module):
    def __init__(self, width: int, shared: nn.Parameter) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, 2, batch_first=True)
        self.norm = nn.BatchNorm1d(width)  # with buffers, one of them an integer
        self.linear = nn.Linear(width, width, bias=False)
        self.shared = shared
        self.turned = nn.Parameter(torch.randn(5, width).T)
        table = torch.randn(6, width)
        self.upper = nn.Parameter(table[:3])  # two views of one storage
        self.register_buffer("lower", table[3:])
        self.register_buffer("kept", torch.arange(4.0).expand(1, -1))
        self.register_buffer("unsaved", torch.ones(2), persistent=False)
        self.register_buffer("absent", None)
        self.loose = torch.ones(3)  # neither parameter nor buffer
        self.several = [torch.zeros(1), torch.ones(2)]
        self.named = {"one": torch.ones(1)}
        self.number, self.word, self.flags = 3, "a", [True, False]

    def forward(self, tokens: Tensor) -> Tensor:
        found = self.attn(tokens, tokens, tokens)[0] + self.linear(tokens) @ self.turned @ self.turned.t()
        return found + self.shared + self.loose.sum() + self.upper.sum() + self.lower.sum() + self.unsaved.sum()


class Tower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.class_embedding = nn.Parameter(torch.randn(8))
        self.blocks = nn.ModuleList(Block(8, self.class_embedding) for _ in range(2))
        self.again = self.blocks[0]  # one module under two names
        self.empty = nn.Parameter(torch.empty(0, 4))
        self.scale = nn.Parameter(torch.tensor(2.5))

    def forward(self, tokens: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens)
        return tokens * self.scale


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4))
        self.proj = nn.Parameter(torch.randn(4, 2))

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(images).mean(dim=(2, 3)) @ self.proj


def scripted(dtype=torch.float32):
    return torch.jit.script(Tower().eval().to(dtype))


def traced_clip():
    """As OpenAI's: half precision, the mask a constant, three numbers as buffers."""
    model = mini.new_mini_clip(quick_gelu=True).eval()
    mask = model.attn_mask
    del model.attn_mask
    model.attn_mask = mask
    for name, value in (("input_resolution", 32), ("context_length", 77), ("vocab_size", 49408)):
        model.__dict__.pop(name, None)
        model.register_buffer(name, torch.tensor(value))
    inputs = (torch.zeros(1, 3, 32, 32), torch.zeros(1, 77, dtype=torch.int64))
    traced = torch.jit.trace(model, inputs, check_trace=False, strict=False)
    for parameter in traced.parameters():
        parameter.data = parameter.data.half()
    return traced


def frozen():
    return torch.jit.freeze(torch.jit.script(Plain().eval()))


@pytest.mark.parametrize(
    "make",
    [
        scripted,
        lambda: scripted(torch.float16),
        lambda: scripted(torch.bfloat16),
        lambda: scripted(torch.float64),
        traced_clip,
        lambda: torch.jit.script(Plain()),
        lambda: torch.jit.trace(Plain().eval(), torch.zeros(1, 3, 4, 4)),
        frozen,
    ],
    ids=["scripted", "half", "bfloat16", "double", "traced CLIP", "training", "traced", "frozen"],
)
def test_equals_torch_jit_load(make, tmp_path):
    path = tmp_path / "net.pt"
    make().save(str(path))
    assert is_torchscript(path)
    expected, found = torch.jit.load(path, map_location="cpu").state_dict(), read_torchscript(path)
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert found[name].stride() == tensor.stride(), name
        assert torch.equal(found[name], tensor.detach()), name


class Spy(nn.Module):
    """Prints and writes a file while it is loaded."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.proj = nn.Parameter(torch.zeros(2, 2))
        self.place = place

    @torch.jit.export
    def __getstate__(self) -> tuple[Tensor, str]:
        return self.proj, self.place

    @torch.jit.export
    def __setstate__(self, state: tuple[Tensor, str]) -> None:
        self.proj, self.place = state
        self.training = False
        print("here I am")  # noqa: T201
        self.proj = torch.from_file(self.place, True, 4, dtype=torch.float32)

    def forward(self, images: Tensor) -> Tensor:
        return images @ self.proj


class Outer(nn.Module):
    def __init__(self, place: str) -> None:
        super().__init__()
        self.spy = Spy(place)

    def forward(self, images: Tensor) -> Tensor:
        return self.spy(images)


@pytest.mark.parametrize("kind", [Spy, Outer])
def test_code_of_an_archive_does_not_run(kind, tmp_path, capfd):
    path, place = tmp_path / "net.pt", tmp_path / "written"
    torch.jit.script(kind(str(place))).save(str(path))
    with pytest.raises(ValueError, match=r"net\.pt is not a readable weights file: .*restores itself by code"):
        read_weights(path)
    assert not place.exists()
    assert capfd.readouterr() == ("", "")
    torch.jit.load(path)  # which is what this would have cost
    assert place.exists()
    assert "here I am" in capfd.readouterr().out


class SpyOfAttributes(Spy):
    """The same, whose state looks like a module's attributes."""

    @torch.jit.export
    def __getstate__(self) -> dict[str, Tensor]:
        return {"proj": self.proj}

    @torch.jit.export
    def __setstate__(self, state: dict[str, Tensor]) -> None:
        self.proj = state["proj"] + 1
        self.place, self.training = "", False


def test_a_state_that_looks_like_attributes_is_not_taken_for_them(tmp_path):
    path = tmp_path / "net.pt"
    torch.jit.script(SpyOfAttributes("")).save(str(path))
    with pytest.raises(ValueError, match="restores itself by code"):
        read_torchscript(path)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "net.pt"
    torch.jit.script(Plain().eval()).save(str(path))
    return path


PLAIN = b"__torch__.tests.encoders.test_torchscript\nPlain\n"


def program(pickled, archive):
    """With the name that the class has in this archive: TorchScript numbers classes of one name."""
    with zipfile.ZipFile(archive) as opened:
        first = opened.read(f"{archive.stem}/data.pkl")
    own = next(argument for opcode, argument, _ in pickletools.genops(first) if opcode.name == "GLOBAL")
    return pickled.replace(PLAIN, own.replace(" ", "\n").encode() + b"\n")


def rewritten(source, target, changes=None, **options):
    """A copy of an archive with other members; None removes one."""
    changes = changes or {}
    if changes.get("data.pkl"):
        changes["data.pkl"] = program(changes["data.pkl"], source)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", **options) as new:
        for info in old.infolist():
            name = info.filename.split("/", 1)[1]
            content = changes.get(name, old.read(info))
            if content is not None:
                new.writestr(info.filename, content)
    return target


class Bomb:
    def __init__(self, call, *arguments):
        self.reduced = call, arguments

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("bomb", [Bomb(os.system, "touch boom"), Bomb(open, "boom", "w"), Bomb(eval, "open('boom')")])
def test_pickled_calls_are_refused(bomb, protocol, plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hostile = pickle.dumps({"weight": bomb}, protocol)
    path = rewritten(plain, tmp_path / "net.pt", {"data.pkl": hostile})
    with pytest.raises(ValueError, match=r"net\.pt is not a readable weights file"):
        read_weights(path)
    assert not (tmp_path / "boom").exists()


def integer(number):
    return b"\x8a\x09" + number.to_bytes(9, "little", signed=True)


def text(word):
    return b"X" + len(word).to_bytes(4, "little") + word.encode()


def module_of(*, number="0", length=8, offset=0, size=(4, 2), stride=(2, 1), kind=b"torch\nFloatStorage\n", tail=b""):
    """The pickle of a ``Plain`` whose only parameter is described by the arguments."""
    storage = b"(" + text("storage") + b"c" + kind + text(number) + text("cpu") + integer(length) + b"tQ"
    shape = b"(" + b"".join(map(integer, size)) + b"t(" + b"".join(map(integer, stride)) + b"t"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + integer(offset) + shape + b"\x89"
    tensor += b"ccollections\nOrderedDict\n)RtR"
    return b"\x80\x02c__torch__.tests.encoders.test_torchscript\nPlain\n)\x81}(" + text("proj") + tensor + tail + b"ub."


def test_the_hand_written_pickle_is_read(plain, tmp_path):
    archive = {"data.pkl": module_of(), "data/0": torch.arange(8.0).numpy().tobytes()}
    path = rewritten(plain, tmp_path / "net.pt", archive)
    found = read_torchscript(path)
    assert torch.equal(found["proj"], torch.arange(8.0).view(4, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (1 << 40,), "stride": (1,)}, "beyond its storage"),
        ({"size": (1 << 40,), "stride": (0,)}, "beyond its storage"),
        ({"size": (1 << 62, 1 << 62), "stride": (1, 1)}, "beyond its storage"),
        ({"size": (0,), "stride": (1,), "offset": 9}, "beyond its storage"),
        ({"offset": 1}, "beyond its storage"),
        ({"stride": (3, 1)}, "beyond its storage"),
        ({"stride": (-2, 1)}, "impossible shape"),
        ({"offset": -1}, "impossible shape"),
        ({"stride": (2,)}, "impossible shape"),
        ({"length": 1 << 40}, "does not have the size"),
        ({"length": 7}, "does not have the size"),
        ({"kind": b"torch\nQInt8Storage\n"}, "unknown kind"),
        ({"kind": b"os\nsystem\n"}, "unknown kind"),
        ({"kind": b"torch\nHalfStorage\n"}, "does not have the size"),
        ({"number": "../data.pkl"}, "unknown kind"),
        ({"number": "99"}, r"not a readable weights file.*\(KeyError\)"),
    ],
)
def test_what_does_not_add_up_is_refused(change, message, plain, tmp_path):
    archive = {"data.pkl": module_of(**change), "data/0": torch.arange(8.0).numpy().tobytes()}
    path = rewritten(plain, tmp_path / "net.pt", archive)
    with pytest.raises(ValueError, match=message):
        read_weights(path)


SHELL = b"c__torch__.tests.encoders.test_torchscript\nPlain\n)\x81"
CYCLE = b"\x80\x02" + SHELL + b"q\x00}(" + text("a") + b"h\x00ub."
TWICE = b"\x80\x02" + SHELL + b"q\x00}(" + text("a") + b"h\x00" + text("b") + b"h\x00ub."
# Each rung holds the one below it twice.
RUNGS = [
    SHELL + b"}(" + (text("a") + b"h%c" % rung + text("b") + b"h%c" % rung if rung else b"") + b"ubq%c" % (rung + 1)
    for rung in range(50)
]
LADDER = b"\x80\x02" + SHELL + b"}(" + text("rungs") + b"(" + b"".join(RUNGS) + b"t" + text("top") + b"h\x32ub."


@pytest.mark.parametrize(
    ("pickled", "message"),
    [
        (CYCLE, "inside each other without end"),
        (TWICE, "inside each other without end"),
        (LADDER, "inside each other without end"),
        (b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b".", "no module"),
        (b"\x80\x02}r\xff\xff\xff\x7f.", "no module"),
        (b"\x80\x02}", r"not a readable"),
        (b"\x80\x02.", r"not a readable"),
        (b"\x80\x02)\x81.", r"not a readable"),
        (b"\x80\x02cos\nsystem\n)\x81.", "asks for an object of os.system"),
        (b"\x80\x02cos\nsystem\n" + text("true") + b"\x85R.", "asks for a call of os.system"),
        (b"\x80\x02c__torch__.Unknown\nThing\n)\x81}b.", "a __torch__.Unknown.Thing has no code"),
        (b"\x80\x02c__torch__.tests.encoders.test_torchscript\nPlain\n)\x81)b.", "restores itself by code"),
        (b"cos\nsystem\n(S'true'\ntR.", "instruction STRING"),
        (b"\x80\x02" + b"}" * (5 * 2**20) + b".", "larger than it can be"),
    ],
    ids=range(14),
)
def test_hostile_pickles_end_in_a_sentence(pickled, message, plain, tmp_path):
    path = rewritten(plain, tmp_path / "net.pt", {"data.pkl": pickled})
    with pytest.raises(ValueError, match=message):
        read_weights(path)


def test_compressed_and_doubled_members_are_refused(plain, tmp_path):
    squeezed = rewritten(plain, tmp_path / "squeezed.pt", compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="is compressed"):
        read_weights(squeezed)
    doubled = rewritten(plain, tmp_path / "doubled.pt")
    with zipfile.ZipFile(doubled, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("net/data.pkl", b"")
    with pytest.raises(ValueError, match="not a readable weights file"):
        read_weights(doubled)


def test_code_that_unpacks_to_more_than_it_can_be_is_refused(plain, tmp_path):
    path = rewritten(plain, tmp_path / "net.pt")
    with zipfile.ZipFile(path, "a", compression=zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/code/more.py", b"\n" * (33 * 2**20))
    with pytest.raises(ValueError, match="its code is larger than it can be"):
        read_weights(path)


def test_big_endian_archives_are_refused(plain, tmp_path):
    path = rewritten(plain, tmp_path / "net.pt", {"byteorder": b"big"})
    with pytest.raises(ValueError, match="big-endian"):
        read_weights(path)
    assert read_weights(rewritten(plain, tmp_path / "old.pt", {"byteorder": None}))  # absent from OpenAI's


def test_archives_of_torch_save_are_none(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "clip.pt")
    assert not is_torchscript(tmp_path / "clip.pt")
