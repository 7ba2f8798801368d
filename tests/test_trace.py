"""What the tracer refuses and says, and what it leaves untouched."""

from __future__ import annotations

import contextlib
import importlib
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import genfast
from genfast import container, reference
from genfast.errors import NotCausalError, UnsupportedOpError
from genfast.export import export
from genfast.heads import Bernoulli, Categorical
from tests import models_for_tests as M

SHAPE = (1, 6, 5)
X = torch.zeros(1, *SHAPE)


class Tail(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.first, self.f = M.MaskData("A", 1, 4, 3, padding=1), f

    def forward(self, x):
        return self.f(self.first(x))


class Inner(nn.Module):
    def forward(self, x):
        return x.sort(1)[0]


def both(x):
    return x * torch.softmax(x.flatten(2) @ x.flatten(2).transpose(1, 2), -1).sum((1, 2))[:, None, None, None]


REFUSED = {
    "sort": (lambda x: x.sort(1)[0], "sort"),
    "topk": (lambda x: x.topk(4, 1)[0], "topk"),
    "cumprod": (lambda x: x.cumprod(1), "cumprod"),
    "kthvalue": (lambda x: x + x.kthvalue(2, 1, keepdim=True)[0], "kthvalue"),
    "max_indices": (lambda x: x + x.max(1, keepdim=True)[1], "indices"),
    "product": (both, "attention weights may only"),
    "sdpa_dropout": (lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.1), r"eval\(\)"),
    "erfinv": (lambda x: x.erfinv(), "aten::erf_inv|aten::erfinv"),
    "nonzero": (lambda x: x + x.nonzero().sum(), "nonzero"),
    "mask_index": (lambda x: x + x[x > 0].sum(), "shape that depends on input values"),
    "item": (lambda x: x * x.max().item(), "reads the value"),
    "bool": (lambda x: x if x.sum() > 0 else -x, "reads the value"),
    "float": (lambda x: x * float(x[0, 0, 0, 0]), "reads the value"),
    "tolist": (lambda x: x + torch.tensor(x.tolist()), "tolist"),
    "numpy": (lambda x: x + torch.from_numpy(np.abs(x.numpy())), "numpy"),
    "dropout": (lambda x: F.dropout(x, 0.5, training=True), r"eval\(\)"),
    "noise": (lambda x: x + torch.randn(4, 1, 1), "random"),
    "batch_mean": (lambda x: x - x.mean(0, keepdim=True), "batch of 2"),
    "weight": (lambda x: F.conv2d(x, x[:, :, :3, :3]), "weight depends on the input"),
    "constant": (lambda x: torch.zeros(1, 4, 6, 5), "does not depend"),
    "times_zero": (lambda x: x * torch.zeros(4, 1, 1), "does not depend"),
    "no_tensor": (lambda x: None, "no tensor"),
    "unknown_one_hot": (lambda x: F.one_hot(x.abs().long()), "num_classes"),
    "complex": (lambda x: torch.fft.fft(x).real, "fft"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_line(name):
    f, message = REFUSED[name]
    with pytest.raises(UnsupportedOpError, match=message) as error:
        export(Tail(f), X, Categorical(4))
    if name not in ("constant", "times_zero", "no_tensor", "batch_mean"):
        line = (both if name == "product" else f).__code__.co_firstlineno + (name == "product")
        assert f"test_trace.py:{line}" in str(error.value)


def test_module_path_and_shapes():
    model = nn.Sequential(M.MaskData("A", 1, 4, 3, padding=1), nn.Sequential(nn.ReLU(), Inner()))
    with pytest.raises(
        UnsupportedOpError, match=r"aten::sort\(float32\[1, 4, 6, 5\], 1\) in module '1.1' at .*test_trace.py:\d+"
    ):
        export(model, X, Categorical(4))


def test_training_mode():
    with pytest.raises(NotCausalError, match=r"module '3'.*eval\(\)"):
        export(M.pixelcnn(norm=M.batch_norm).train(), X, Categorical(4))
    with pytest.raises(UnsupportedOpError, match=r"dropout in training mode"):
        export(M.pixelcnn(norm=lambda c: nn.Dropout()).train(), X, Categorical(4))


def test_control_flow_on_values_hidden_from_the_tracer():
    calls = []

    def f(x):
        calls.append(0)
        return x * len(calls)

    with pytest.raises(UnsupportedOpError, match="another random input"):
        export(Tail(f), X, Categorical(4))


def checked(x):
    assert x.isfinite().all(), "not finite"
    if bool((x.abs() > 1e6).any()):
        raise ValueError("too large")
    return x


def test_checks_are_tolerated_and_listed():
    graph = reference.read(export(Tail(checked), X, Categorical(4)))
    assumed = graph.json["assumed"]
    assert len(assumed) == 2 and all("test_trace.py" in line and "check" in line for line in assumed)


def global_state():
    return torch._C._get_mkldnn_enabled(), torch.backends.mha.get_fastpath_enabled(), torch.is_grad_enabled()


def test_leaves_no_trace():
    model = M.pixelcnn(M.MaskCall, norm=M.batch_norm)
    model[2].train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    flags = [m.training for m in model.modules()]
    torch.manual_seed(3)
    state = torch.random.get_rng_state()
    settings = global_state()
    validate = torch.distributions.Distribution._validate_args
    for head in (Categorical(4), Categorical(5)):
        with contextlib.suppress(ValueError):
            export(model, X, head)
    assert flags == [m.training for m in model.modules()]
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())
    assert settings == global_state()
    assert validate == torch.distributions.Distribution._validate_args
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("example", "error", "message"),
    [
        (torch.zeros(1, 3, 6, 5), RuntimeError, "1 channels, but got 3"),
        (torch.zeros(0, 1, 6, 5), ValueError, "at least one row"),
        (torch.tensor(1.0), ValueError, "at least one row"),
        ("digits", TypeError, "tensor"),
        ((X, X, X), TypeError, "takes 1"),
        (torch.zeros(1, 1, 6, 5, dtype=torch.complex64), TypeError, "complex"),
    ],
)
def test_wrong_examples(example, error, message):
    with pytest.raises(error, match=message):
        export(Tail(lambda x: x), example, Categorical(4))


def test_wrong_outputs():
    model = M.pixelcnn(levels=4)
    with pytest.raises(ValueError, match=r"\('B', 5, 6, 5\).*got \('B', 4, 6, 5\)"):
        export(model, X, Categorical(5))
    with pytest.raises(ValueError, match=r"\('B', 1, 6, 5\).*got \('B', 4, 6, 5\)"):
        export(model, X, Bernoulli())
    with pytest.raises(ValueError, match="NaN"):
        export(Tail(lambda x: x / (x - x)), X, Categorical(4))
    with pytest.raises(TypeError, match="head"):
        export(model, X, 4)
    with pytest.raises(TypeError, match="model"):
        export(3, X, Categorical(4))
    with pytest.raises(ValueError, match="permutation"):
        export(model, X, Categorical(4), order=np.zeros(30, int))


def test_bad_weights():
    model = M.pixelcnn()
    model[1].net[1].weight.data[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"'1\.net\.1\.weight' is not finite"):
        export(model, X, Categorical(4))
    with pytest.raises(UnsupportedOpError, match="output is -inf somewhere"):
        export(Tail(lambda x: x.masked_fill(torch.eye(6, 5).bool(), float("-inf"))), X, Categorical(4))


def test_labels_outside_their_table():
    model = M.Conditional("embedding")
    with pytest.raises(ValueError, match="index"):
        export(model, (X, torch.tensor([3])), Categorical(4))
    with pytest.raises(ValueError, match=r"4.*rows|index"):
        export(M.TokenImage(levels=4), torch.zeros(1, 6, 5, dtype=torch.long), Categorical(5))


def test_inputs_as_numpy_batches_and_callables():
    model = M.Conditional("embedding")
    a = export(model, (np.zeros((3, 1, 6, 5)), np.array([0, 1, 2])), Categorical(4), name="named")
    graph = reference.read(a)
    assert graph.json["meta"] == {"name": "named"} and graph.json["input"]["name"] == "x"
    plain = reference.read(export(lambda x, cond: model(x, cond), (X, torch.tensor([0])), Categorical(4)))
    assert plain.json["conditions"] == graph.json["conditions"]


def test_ambiguous_axes():
    """Where logits fit on both axes, images use axis 1 and tokens the last."""
    torch.manual_seed(0)
    image = nn.Sequential(M.MaskData("A", 1, 5, 3, padding=1)).eval()
    graph = reference.read(export(image, torch.zeros(1, 1, 5, 5), Categorical(5)))
    x = np.random.default_rng(0).integers(0, 5, (2, 1, 5, 5))
    with torch.no_grad():
        want = image(torch.tensor(graph.fed[x])).flatten(2).transpose(1, 2)
    np.testing.assert_allclose(reference.logits(graph, x), want, atol=1e-6)
    wave = M.WaveNet(levels=6, tokens=True)
    graph = reference.read(export(wave, torch.zeros(1, 6, dtype=torch.long), Categorical(6)))
    x = np.random.default_rng(0).integers(0, 6, (2, 6))
    with torch.no_grad():
        want = wave(torch.tensor(x))
    np.testing.assert_allclose(reference.logits(graph, x), want, atol=1e-5)


def test_files_hold_no_path_of_this_machine(tmp_path, monkeypatch):
    """Of a module its path as it is imported, of a script its name: never the folders above."""
    code = "from torch import nn\nclass M(nn.Module):\n  def forward(self, x):\n    return x * 2\n"
    (tmp_path / "packed").mkdir()
    for name in ("packed/inner.py", "script.py"):
        (tmp_path / name).write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    script = runpy.run_path(str(tmp_path / "script.py"), run_name="__main__")
    inner = importlib.import_module("packed.inner")
    for model, source in ((inner.M(), "packed/inner.py:4"), (script["M"](), "script.py:4")):
        data = genfast.compile(model, torch.zeros(1, 3), latent="given")._core.file_bytes()
        assert {node["source"] for node in container.unpack(data)[0]["nodes"]} == {source}
    for path in (Path(genfast.__file__).parent / "models").glob("*.genfast"):
        nodes = container.unpack(path.read_bytes())[0]["nodes"]
        assert not any(node["source"].startswith("/") for node in nodes), path.name


def test_the_file_is_safetensors_and_aligned():
    model = M.pixelcnn()
    data = export(model, X, Categorical(4))
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    assert (8 + size) % 64 == 0 and header.pop("__metadata__") == {"format": "genfast", "version": "1"}
    offset = 0
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        assert begin == offset and end % 64 == 0, name
        offset = end
    assert 8 + size + offset == len(data)
    assert data == export(model, X, Categorical(4))


def test_recurrent_networks_over_positions():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.out = nn.GRU(1, 5, batch_first=True), nn.Linear(5, 3)

        def forward(self, x):
            x = F.pad(x.transpose(1, 2), (0, 0, 1, 0))[:, :-1]
            return self.out(self.cell(x)[0]).transpose(1, 2)

    torch.manual_seed(1)
    model = Recurrent().eval()
    graph = reference.read(export(model, torch.zeros(1, 1, 6), Categorical(3)))
    x = np.random.default_rng(0).integers(0, 3, (2, 1, 6))
    with torch.no_grad():
        want = model(torch.tensor(graph.fed[x])).transpose(1, 2)
    np.testing.assert_allclose(reference.logits(graph, x), want, atol=1e-5)
