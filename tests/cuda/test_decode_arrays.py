"""Models whose arrays lie on a GPU, played by stand-ins (gpu_arrays_for_tests.py) and run interpreted: every kind of
model, head and call gives the CPU's bits there, of the caller's library, and nobody waits."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import test_engine_graphs as graphs  # noqa: E402
import test_feedforward as feedforward  # noqa: E402
import test_guidance as guidance  # noqa: E402
import test_heads as hand_made  # noqa: E402
import test_tokens as tokens  # noqa: E402
from families.catalogue import FAMILIES, build  # noqa: E402
from gpu_arrays_for_tests import CupyArray, Waits, fake_cupy, fake_torch_gpu  # noqa: E402
from outputs_for_tests import feed_forward, iterated, load  # noqa: E402
from test_format_output import iterated as pulled  # noqa: E402
from torch.overrides import TorchFunctionMode  # noqa: E402

import genfast as gf  # noqa: E402
from genfast import device_arrays, heads  # noqa: E402
from genfast._core import backend_registry  # noqa: E402
from genfast.devices import extension  # noqa: E402
from genfast.errors import NumericalError  # noqa: E402

# The stand-ins' GPU: no machine that runs these tests has as many, so that the name is free.
INDEX = 7
DEVICE = f"cuda:{INDEX}"
ROWS = 6
METHODS = (
    *(
        "sample",
        "complete",
        "apply",
        "log_prob",
        "bits_per_dim",
        "rosenblatt",
        "inverse_rosenblatt",
        "logits",
        "stream",
    ),
)
ASKING = ("item", "numpy", "cpu", "tolist", "nonzero", "__bool__", "__int__", "__float__", "__index__", "__array__")


class Watched(TorchFunctionMode):
    """Counts who asks tensors for their elements."""

    def __init__(self, waits: Waits) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(function, "__name__", "") in ASKING:
            self.waits()
        return function(*args, **(kwargs or {}))


class Library:
    """A library with a GPU: brings arrays there, and looks at them there without being counted."""

    def __init__(self, name: str, put: Callable[[np.ndarray], Any], waits: Waits) -> None:
        self.name, self._put, self.waits = name, put, waits

    def put(self, x: Any) -> Any:
        if isinstance(x, Mapping):
            return {name: self.put(value) for name, value in x.items()}
        if isinstance(x, tuple):
            return tuple(map(self.put, x))
        return self._put(np.array(x)) if isinstance(x, np.ndarray) else x

    def look(self, x: Any) -> Any:
        if isinstance(x, tuple):
            return tuple(map(self.look, x))
        if self.name == "cupy":
            assert type(x) is CupyArray and x.index == INDEX
            return x.array
        assert type(x) is torch.Tensor
        before = self.waits.count
        found = x.numpy().copy()
        self.waits.count = before
        return found


@pytest.fixture(scope="module", autouse=True)
def device(cuda: Any) -> None:
    for precision, name in (("f32", DEVICE), ("fast", f"{DEVICE} fast")):
        extension().register_emulated(backend_registry(), name, precision, threads=64, block_rows=4)


@pytest.fixture(params=["torch", "cupy"])
def library(request: Any, cuda: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    waits = Waits()
    if request.param == "cupy":
        fake_cupy(cuda, monkeypatch, waits, INDEX)
        yield Library("cupy", lambda x: CupyArray(x, INDEX), waits)
    else:
        put = fake_torch_gpu(torch, cuda, monkeypatch, waits)
        with Watched(waits):
            yield Library("torch", lambda x: put(torch.from_numpy(x), INDEX), waits)


def there(model: gf.Model, library: Library, name: str = DEVICE) -> gf.Model:
    cores = model.__dict__.setdefault("_cores_for_tests", {})
    return gf.Model(cores.setdefault(name, model._core.to(name)), library.name)


class Visiting:
    """A model whose methods take NumPy arrays to the library and bring results back: nobody in between may wait."""

    def __init__(self, model: gf.Model, library: Library) -> None:
        self._model, self._library, self.warm = there(model, library), library, False

    def __getattr__(self, name: str) -> Any:
        if name not in METHODS:
            return getattr(self._model, name)
        library = self._library

        def call(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = library.put(args), {**kwargs}
            for key in ("u", "x", "condition", "unconditional", "prompt"):
                if key in kwargs:
                    kwargs[key] = library.put(kwargs[key])
            before = library.waits.count, extension().decode.waits()
            found = getattr(self._model, name)(*args, **kwargs)
            assert not self.warm or (library.waits.count, extension().decode.waits()) == before, f"{name} waited"
            return library.look(found)

        return call


Calls = dict[str, Callable[[Any], Any]]


def assert_same(model: gf.Model, calls: Calls, library: Library) -> None:
    want = {name: call(model) for name, call in calls.items()}
    visiting = Visiting(model, library)
    for call in calls.values():
        call(visiting)  # waits, to upload the program and what is known
    visiting.warm = True
    for name, call in calls.items():
        for ours, theirs in zip(arrays(call(visiting)), arrays(want[name]), strict=True):
            assert ours.shape == theirs.shape and ours.dtype == theirs.dtype, name
            assert ours.tobytes() == theirs.tobytes(), name


def arrays(result: Any) -> list[np.ndarray]:
    return list(result) if isinstance(result, tuple) else [result]


def every_call(model: gf.Model, condition: Any = None, **options: Any) -> Calls:
    how = {"condition": condition, **options}
    x = model.sample(ROWS, rng=3, condition=condition)
    u = np.random.default_rng(1).random((ROWS, model.sites))
    lower, upper = model.rosenblatt(x, **how)
    return {
        "sample": lambda m: m.sample(ROWS, rng=1, **how),
        "sample of u": lambda m: m.sample(ROWS, u=u.astype(np.float32), **how),
        "log_prob": lambda m: m.log_prob(x, **how),
        "bits_per_dim": lambda m: m.bits_per_dim(x.astype(np.int64) if x.dtype.kind in "iu" else x, **how),
        "rosenblatt": lambda m: m.rosenblatt(x, **how),
        "inverse_rosenblatt": lambda m: m.inverse_rosenblatt((lower, upper), **how),
        "logits": lambda m: m.logits(x, condition=condition),
    }


def in_turn(names: Iterable[str]) -> Any:
    """Every name with one of the two libraries."""
    pairs = [(name, ("torch", "cupy")[i % 2]) for i, name in enumerate(names)]
    return pytest.mark.parametrize(("name", "library"), pairs, indirect=["library"])


@in_turn(FAMILIES)
def test_families(name: str, library: Library) -> None:
    family = build(name)
    model = family.compile()
    condition = family.condition(ROWS) or None
    calls = every_call(model, condition)
    known = np.zeros(model.sites, bool)
    known[(np.arange(model.sites) if family.order is None else family.order)[: model.sites // 2]] = True
    mask, x = known.reshape(model.input_shape), model.sample(ROWS, rng=3, condition=condition)
    calls["complete"] = lambda m: m.complete(x, known=mask, rng=2, condition=condition)
    calls["complete one"] = lambda m: m.complete(x[0], known=mask, n=ROWS, rng=2, condition=condition)
    calls["site by site"] = lambda m: m.sample(ROWS, rng=1, condition=condition, wavefront=False)
    assert_same(model, calls, library)


@in_turn(["100 levels", *hand_made.MIXTURES, *hand_made.FAMILIES])
def test_heads(name: str, library: Library) -> None:
    if name == "100 levels":
        model, _ = hand_made.autoregression(heads.Categorical(100))
    elif name in hand_made.MIXTURES:
        head, channels = hand_made.MIXTURES[name]
        model, _ = hand_made.autoregression(head, channels)
    else:
        head, more = hand_made.FAMILIES[name]
        model, _ = hand_made.autoregression(head, seed=4, **more)
    calls = every_call(model)
    # More rows than one workspace of the emulation has.
    calls["many rows"] = lambda m: m.sample(601, rng=5)
    many = model.sample(601, rng=5)
    calls["many given rows"] = lambda m: (m.log_prob(many), *m.rosenblatt(many), m.logits(many))
    assert_same(model, calls, library)


@pytest.mark.parametrize("options", [{"top_k": 3}, {"top_p": 0.7}, {"top_k": 20, "min_p": 0.01, "temperature": 0.7}])
def test_filters(options: dict[str, Any], library: Library) -> None:
    model, _ = hand_made.autoregression(heads.Categorical(300), scale=1.5)
    assert_same(model, every_call(model, **options), library)


@pytest.mark.parametrize("options", [{}, {"top_k": 4, "top_p": 0.9, "temperature": 0.8}])
@pytest.mark.parametrize("kind", ["label", "vector"])
def test_guidance(kind: str, options: dict[str, Any], library: Library) -> None:
    _, model = guidance.build(kind)
    name = model.conditions[0]["name"]
    for n in (1, 5) if options else (1, 300):
        vectors = np.random.default_rng(0).standard_normal((n, 3)).astype(np.float32)
        condition = {name: np.arange(n) % guidance.NONE if kind == "label" else vectors}
        without = {name: guidance.NONE if kind == "label" else [0.0, 0.0, 0.0]}
        if kind == "vector":
            without = {name: np.zeros(3)}
        how = {"condition": condition, "guidance": 2.5, "unconditional": without, **options}
        x = model.sample(n, rng=3, condition=condition)
        calls: Calls = {
            "sample": lambda m, n=n, how=how: m.sample(n, rng=1, **how),
            "complete": lambda m, x=x, how=how: m.complete(x, known=np.zeros(m.input_shape, bool), rng=1, **how),
            "log_prob": lambda m, x=x, how=how: m.log_prob(x, **how),
            "rosenblatt": lambda m, x=x, how=how: m.rosenblatt(x, **how),
        }
        assert_same(model, calls, library)


@pytest.mark.parametrize("shift", [1, 0], ids=["next", "same"])
def test_tokens(shift: int, library: Library) -> None:
    model = tokens.Case(shift).model
    u = np.random.default_rng(1).random((ROWS, tokens.T))
    prompts = np.random.default_rng(2).integers(0, model.levels, (ROWS, 17))
    calls: Calls = {
        "none": lambda m: m.sample(ROWS, u=u),
        "limit": lambda m: m.sample(ROWS, u=u, max_tokens=4),
        "no limit": lambda m: m.sample(ROWS, u=u, max_tokens=4000),
        "nothing": lambda m: m.sample(ROWS, u=u, max_tokens=0),
        "one for all": lambda m: m.sample(ROWS, u=u, prompt=prompts[0]),
        "one each": lambda m: m.sample(ROWS, u=u, prompt=prompts, max_tokens=9, top_k=4),
        "all of it": lambda m: m.sample(2, u=u[:2], prompt=np.zeros((2, tokens.T), int)),
        "empty": lambda m: m.sample(ROWS, u=u, prompt=prompts[:, :0]),
        "inverse": lambda m: m.inverse_rosenblatt(u, prompt=prompts[:, :3]),
    }
    assert_same(model, calls, library)


def test_random_graphs(library: Library) -> None:
    for seed in range(24):
        made = graphs.random_model(seed)
        if made is None:
            continue
        condition = {"c": np.random.default_rng(seed).standard_normal((ROWS, 3)).astype(np.float32)}
        x = made[0].sample(ROWS, rng=1, condition=condition)
        calls: Calls = {
            "sample": lambda m, c=condition: m.sample(ROWS, rng=1, condition=c),
            "log_prob": lambda m, x=x, c=condition: m.log_prob(x, condition=c),
        }
        assert_same(made[0], calls, library)


def output_calls(model: gf.Model, seed: int, given: bool) -> Calls:
    rng = np.random.default_rng(seed)
    condition = {"c": rng.standard_normal((ROWS, 3)).astype(np.float32)}
    x, u = rng.standard_normal((ROWS, *model.input_shape)).astype(np.float32), rng.random((ROWS, model.uniforms))
    calls: Calls = {
        "apply": lambda m: m.apply(x, u=u, condition=condition),
        "apply, seeded": lambda m: m.apply(x, rng=5, first_row=3, condition=condition),
    }
    if not given:
        calls["sample"] = lambda m: m.sample(ROWS, u=u, condition=condition)
        calls["both"] = lambda m: m.sample(ROWS, rng=2, first_row=1 << 40, condition=condition, return_latent=True)
        calls["latent"] = lambda m: m.inverse_rosenblatt(u[:, : model.sites], condition=condition)
        calls["log_prob"] = lambda m: m.log_prob(x, condition=condition)
    return calls


@pytest.mark.parametrize("given", [False, True])
def test_outputs(given: bool, library: Library) -> None:
    for seed in range(12):
        model = load(feed_forward(seed, given))
        assert_same(model, output_calls(model, seed, given), library)


@pytest.mark.parametrize("jitter", [0, 2])
@pytest.mark.parametrize("given", [False, True])
def test_iterations(given: bool, jitter: int, library: Library) -> None:
    for seed in range(10):
        model = load(iterated(seed, given, jitter))
        assert_same(model, output_calls(model, seed, given), library)


@pytest.mark.parametrize("name", list(feedforward.FAMILIES)[::3])
def test_feed_forward_networks(name: str, library: Library) -> None:
    make, arguments = feedforward.FAMILIES[name]
    _, inputs, model = feedforward.compiled(make, *arguments)
    assert_same(model, {"apply": lambda m: feedforward.apply(m, inputs)}, library)


def test_reduced_weights(library: Library) -> None:
    for name, dtype in (("minGPT", "int8"), ("PixelCNN++ RGB", "bf16")):
        model = build(name).compile().quantize(dtype)
        assert_same(model, every_call(model), library)


def test_what_rounding_costs_is_measured_on_the_cpu(library: Library) -> None:
    model, x = gf.load("digits"), gf.load("digits").sample(8, rng=0, condition={"label": 3})
    want = model.quantize("int8", check=x, condition={"label": 3})
    for name in (DEVICE, f"{DEVICE} fast"):
        found = there(model, library, name).quantize("int8", check=x, condition={"label": 3})
        assert (found.device, found.arrays, found.meta) == (name, library.name, want.meta)
    for m in (model, there(model, library)):
        with pytest.raises(ValueError, match="check is on a GPU, and what rounding costs is measured on the CPU"):
            m.quantize("int8", check=library.put(x), condition={"label": 3})
        with pytest.raises(ValueError, match="condition is on a GPU"):
            m.quantize("int8", check=x, condition={"label": library.put(np.zeros(8, int))})


def test_files_of_samples_are_those_of_the_cpu(library: Library, tmp_path: Path) -> None:
    model = tokens.Case(1).model
    for name, m in (("here", model), ("there", there(model, library))):
        gf.generate(m, tmp_path / name, n=5)
    here, theirs = ({f.name: f.read_bytes() for f in (tmp_path / name).iterdir()} for name in ("here", "there"))
    assert here == theirs and len(here) > 1


def test_fast(library: Library) -> None:
    """The bits of the same program in NumPy's arrays."""
    model = gf.load("digits")
    label = np.arange(ROWS) % 10
    want = gf.Model(model._core.to(f"{DEVICE} fast")).sample(ROWS, rng=3, condition={"label": label})
    found = there(model, library, f"{DEVICE} fast").sample(ROWS, rng=3, condition={"label": library.put(label)})
    assert np.array_equal(library.look(found), want)
    assert not np.array_equal(want, model.sample(ROWS, rng=3, condition={"label": label}))


def test_no_rows(library: Library) -> None:
    model = gf.load("digits")
    calls: Calls = {
        "sample": lambda m: m.sample(0, rng=0, condition={"label": 3}),
        "of u": lambda m: m.sample(0, u=np.zeros((0, 64)), condition={"label": np.zeros(0, int)}),
        "log_prob": lambda m: m.log_prob(np.zeros((0, 1, 8, 8), np.uint8), condition={"label": 3}),
        "logits": lambda m: m.logits(np.zeros((0, 1, 8, 8), np.uint8), condition={"label": 3}),
    }
    assert_same(model, calls, library)
    _, good = there(model, library).sample(0, rng=0, condition={"label": 3}, check="mask")
    assert library.look(good).shape == (0,)
    prompts: Calls = {
        str(prompt): lambda m, prompt=prompt: m.sample(0, rng=0, prompt=prompt, max_tokens=3)
        for prompt in (np.arange(4), [1, 2, 3, 4], np.zeros((0, 4), int))
    }
    assert_same(tokens.Case(1).model, prompts, library)


# ---- what arrays may hold


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "bool"])
def test_integers(dtype: str, library: Library) -> None:
    model = gf.load("digits")
    label = np.array([1, 0, 1], dtype)
    x = (model.sample(3, rng=0, condition={"label": label.astype(int)}) % 2).astype(dtype)
    calls: Calls = {
        "condition": lambda m: m.sample(3, rng=1, condition={"label": label}),
        "x": lambda m: m.log_prob(x, condition={"label": 3}),
    }
    if dtype != "bool":
        calls["u"] = lambda m: m.sample(2, u=np.eye(2, 64).astype(dtype), condition={"label": 3})
    assert_same(model, calls, library)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_numbers(dtype: str, library: Library) -> None:
    model = load(feed_forward(3, False))
    x, c = (np.random.default_rng(k).standard_normal((4, *s)) for k, s in enumerate([model.input_shape, (3,)]))
    u = np.random.default_rng(2).random((4, model.uniforms))
    calls: Calls = {
        "apply": lambda m: m.apply(x.astype(dtype), condition={"c": c.astype(dtype)}),
        "sample": lambda m: m.sample(4, u=u.astype(dtype), condition={"c": c[0].astype(dtype)}),
    }
    assert_same(model, calls, library)


def test_bfloat16(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put = fake_torch_gpu(torch, cuda, monkeypatch, Waits())
    model = load(feed_forward(3, False))
    x, c = torch.randn(4, *model.input_shape).bfloat16(), torch.randn(3).bfloat16()
    found = gf.Model(model._core.to(DEVICE)).apply(put(x, INDEX), condition={"c": put(c, INDEX)}, check="raise")
    assert np.array_equal(found.numpy(), model.apply(x.float().numpy(), condition={"c": c.float().numpy()}))


def test_arrays_of_any_strides(library: Library) -> None:
    model = gf.load("digits")
    label = np.arange(3)
    x = model.sample(3, rng=0, condition={"label": label})
    turned = library.put(np.ascontiguousarray(x.reshape(3, 64).T)).T.reshape((3, 1, 8, 8))
    found = there(model, library).log_prob(turned, condition={"label": library.put(np.repeat(label, 2))[::2]})
    assert np.array_equal(library.look(found), model.log_prob(x, condition={"label": label}))
    assert np.array_equal(library.look(turned), x), "an argument was written to"


# ---- what calls without arrays give


def test_calls_without_arrays(library: Library) -> None:
    model = gf.load("digits")
    plain, follows = gf.Model(model._core.to(DEVICE)), there(model, library)
    want = model.sample(2, rng=1, condition={"label": [3, 4]})
    assert follows.arrays == library.name and plain.arrays == "numpy"
    assert np.array_equal(library.look(follows.sample(2, rng=1, condition={"label": [3, 4]})), want)
    for found in (
        plain.sample(2, rng=1, condition={"label": [3, 4]}),
        plain.sample(2, rng=1, condition={"label": np.array([3, 4])}),
        follows.sample(2, rng=1, condition={"label": np.array([3, 4])}),
    ):
        assert type(found) is np.ndarray and np.array_equal(found, want)
    u = np.random.default_rng(0).random((2, 64))
    found = follows.sample(2, u=u.tolist(), condition={"label": np.int64(3)})
    assert np.array_equal(library.look(found), model.sample(2, u=u, condition={"label": 3}))
    generators = [np.random.default_rng(5) for _ in range(2)]
    drawn = [m.sample(3, rng=g, condition={"label": 3}) for m, g in zip((model, follows), generators, strict=True)]
    assert np.array_equal(library.look(drawn[1]), drawn[0]) and generators[0].random() == generators[1].random()


def test_which_arrays_there_are(cuda: Any) -> None:
    model = gf.load("digits")
    emulated = model.to("cuda-emulated", arrays="torch")
    found = emulated.sample(2, rng=1, condition={"label": 3})
    assert type(found) is torch.Tensor and np.array_equal(found.numpy(), model.sample(2, rng=1, condition={"label": 3}))
    assert emulated.to("cuda-emulated", arrays="torch") is emulated
    assert emulated.to("cuda-emulated").arrays == "numpy" and emulated.quantize("bf16").arrays == "torch"
    with pytest.raises(ValueError, match="arrays must be 'numpy', 'torch' or 'cupy', got 'jax'"):
        model.to("cuda-emulated", arrays="jax")
    with pytest.raises(ValueError, match="arrays='torch' is for GPUs; the CPU's are NumPy's"):
        model.to("cpu", arrays="torch")
    with pytest.raises(TypeError, match="arrays='cupy': import cupy first"):
        model.to("cuda-emulated", arrays="cupy")
    assert model.sample(1, rng=0, condition={"label": 0}, check="raise").shape == (1, 1, 8, 8)
    for wrong in ({"n": 2, "rgn": 0}, {"rng": 0}):
        with pytest.raises(TypeError):
            emulated.sample(**wrong)
    with pytest.raises(TypeError):
        emulated.sample(1, n=1)
    with pytest.raises(TypeError):
        emulated.sample(1, 0)
    with pytest.raises(ValueError, match='check="mask" is for results on a GPU; elsewhere what fails raises'):
        model.sample(1, rng=0, condition={"label": 0}, check="mask")
    with pytest.raises(ValueError, match='check must be "raise" or "mask", got \'perhaps\''):
        model.sample(1, rng=0, condition={"label": 0}, check="perhaps")


def test_what_does_not_go_together(library: Library, cuda: Any) -> None:
    model = gf.load("digits")
    m, u = there(model, library), np.random.default_rng(0).random((2, 64))
    label = library.put(np.array([1, 2]))
    with pytest.raises(ValueError, match=rf"condition 'label' is on {DEVICE} and u on the CPU"):
        m.sample(2, u=u, condition={"label": label})
    with pytest.raises(ValueError, match=rf"u is on {DEVICE} and the model on the CPU: m.to\('{DEVICE}'\)"):
        model.sample(2, u=library.put(u), condition={"label": 3})
    with pytest.raises(ValueError, match=f"condition 'label' is on {DEVICE}, and device is cuda-emulated"):
        model.to("cuda-emulated").sample(2, rng=0, condition={"label": label})
    mask = library.put(np.zeros((8, 8), bool))
    with pytest.raises(ValueError, match="known is on a GPU, and a plan is made for each mask on the CPU"):
        m.complete(library.put(np.zeros((1, 8, 8), int)), known=mask, condition={"label": 1})


def test_two_libraries(cuda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put = fake_torch_gpu(torch, cuda, monkeypatch, Waits())
    fake_cupy(cuda, monkeypatch, Waits(), INDEX)
    m, u = gf.Model(gf.load("digits")._core.to(DEVICE)), put(torch.rand(2, 64), INDEX)
    with pytest.raises(TypeError, match="u is an array of torch and condition 'label' of cupy; convert them"):
        m.sample(2, u=u, condition={"label": CupyArray(np.arange(2), INDEX)})
    with pytest.raises(ValueError, match="u is on cuda:7 and condition 'label' on cuda:1"):
        m.sample(2, u=u, condition={"label": put(torch.arange(2), 1)})
    with pytest.raises(ValueError, match="u requires a gradient, which genfast does not compute"):
        m.sample(2, u=put(torch.rand(2, 64, requires_grad=True), INDEX), condition={"label": 3})
    with torch.no_grad():
        m.sample(2, u=put(torch.rand(2, 64, requires_grad=True), INDEX), condition={"label": 3}, progress=print)


WRONG: dict[str, Callable[[Any], Any]] = {
    "dtype of u": lambda m: m.sample(2, u=np.zeros((2, 64), bool), condition={"label": 3}),
    "shape of u": lambda m: m.sample(2, u=np.zeros((2, 63)), condition={"label": 3}),
    "rows of u": lambda m: m.sample(2, u=np.zeros((3, 64)), condition={"label": 3}),
    "u and rng": lambda m: m.sample(2, rng=0, u=np.zeros((2, 64)), condition={"label": 3}),
    "first_row": lambda m: m.sample(2, u=np.zeros((2, 64)), first_row=4, condition={"label": 3}),
    "dtype of a condition": lambda m: m.sample(2, rng=0, condition={"label": np.zeros(2)}),
    "shape of a condition": lambda m: m.sample(2, rng=0, condition={"label": np.zeros(3, int)}),
    "no condition": lambda m: m.sample(2, u=np.zeros((2, 64))),
    "another condition": lambda m: m.sample(2, rng=0, condition={"label": np.zeros(2, int), "colour": 1}),
    "a number": lambda m: m.sample(2, u=np.zeros((2, 64)), condition={"label": 10}),
    "dtype of x": lambda m: m.log_prob(np.zeros((2, 1, 8, 8)), condition={"label": 3}),
    "shape of x": lambda m: m.log_prob(np.zeros((2, 8, 8), int), condition={"label": 3}),
    "rows of x": lambda m: m.complete(
        np.zeros((3, 1, 8, 8), int), known=np.zeros((8, 8), bool), n=2, condition={"label": 3}
    ),
    "prompt": lambda m: m.sample(2, rng=0, prompt=np.zeros((2, 3), int), condition={"label": 3}),
    "guidance": lambda m: m.sample(2, rng=0, guidance=2, condition={"label": np.zeros(2, int)}),
    "unconditional": lambda m: m.sample(
        2, rng=0, condition={"label": np.zeros(2, int)}, unconditional={"label": np.zeros(3, int)}
    ),
    "a number that is unconditional": lambda m: m.sample(
        2, rng=0, condition={"label": np.zeros(2, int)}, unconditional={"label": 10}
    ),
    "temperature": lambda m: m.sample(2, rng=0, temperature=0, condition={"label": np.zeros(2, int)}),
    "top_k": lambda m: m.log_prob(np.zeros((2, 1, 8, 8), int), top_k=0, condition={"label": 3}),
    "latent": lambda m: m.sample(2, rng=0, return_latent=True, condition={"label": np.zeros(2, int)}),
    "apply": lambda m: m.apply(np.zeros((2, 1, 8, 8), int), condition={"label": 3}),
    "lower and upper": lambda m: m.inverse_rosenblatt((np.zeros((2, 64)), np.zeros((3, 64))), condition={"label": 3}),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_raise_as_on_the_cpu(name: str, library: Library) -> None:
    model = gf.load("digits")
    with pytest.raises((TypeError, ValueError)) as want:
        WRONG[name](model)
    with pytest.raises(type(want.value)) as found:
        WRONG[name](Visiting(model, library))
    assert str(found.value).replace("torch.", "") == str(want.value)


def test_arguments_that_are_missing(library: Library) -> None:
    m = there(gf.load("digits"), library)
    for call, name in ((m.sample, "n"), (m.log_prob, "x"), (m.inverse_rosenblatt, "u"), (m.apply, "x")):
        with pytest.raises(TypeError, match=rf"Model\.{call.__name__}\(\) missing 1 required .*'{name}'"):
            call(condition={"label": 3})
    with pytest.raises(TypeError, match=r"Model\.complete\(\) missing 1 required .*'known'"):
        m.complete(library.put(np.zeros((1, 8, 8), int)))


def test_too_little_memory_of_the_library(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    model = gf.load("digits")
    m, error = there(model, library), MemoryError if library.name == "cupy" else torch.cuda.OutOfMemoryError
    call = lambda: m.sample(2, rng=0, condition={"label": 3})
    want = library.look(call())
    module = sys.modules[library.name]
    real, left = module.empty, 0

    def limited(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        if not left:
            raise error("out of memory: tried to allocate 20.00 GiB")
        left -= 1
        return real(*args, **kwargs)

    with monkeypatch.context() as within:
        within.setattr(module, "empty", limited)
        for allowed in range(4):
            left = allowed
            with pytest.raises(
                gf.DeviceMemoryError, match=f"on {DEVICE if library.name == 'cupy' else 'cpu'}; fewer rows"
            ):
                call()
    assert np.array_equal(library.look(call()), want)


# ---- what goes wrong on the device


def blank(array: np.ndarray) -> bool:
    return bool(np.isnan(array).all()) if array.dtype.kind == "f" else not array.any()


def assert_rows(
    model: gf.Model, call: Callable[..., Any], bad: list[int], library: Library, error: type[Exception] = ValueError
) -> None:
    """Rows that fail are blank and said to be bad, the others what they are; check="raise" says what the CPU does."""
    m = Visiting(model, library)
    results, good = call(m, check="mask")
    n = len(good)
    assert good.dtype == bool and np.flatnonzero(~good).tolist() == bad
    for array, same in zip(arrays(results), arrays(call(m)), strict=True):
        assert array.tobytes() == same.tobytes() and all(blank(array[row]) for row in bad)
        assert bad == list(range(n)) or not all(blank(array[row]) for row in range(n) if row not in bad)
    with pytest.raises(error) as want:
        call(model)
    with pytest.raises(error) as found:
        call(m, check="raise")
    # The CPU also knows where a state diverges.
    assert str(found.value) == str(want.value).replace(" at position 0", "")


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = gf.num_threads()
    gf.set_num_threads(1)
    yield
    gf.set_num_threads(before)


HALF = np.arange(64).reshape(8, 8) < 32


def test_elements_of_arguments(library: Library, one_thread: None) -> None:
    model = gf.load("digits-independent")
    x, label = model.sample(5, rng=0, condition={"label": 3}).astype(np.int64), np.arange(5)
    u = np.random.default_rng(0).random((5, 64))
    wrong = {name: u.copy() for name in ("above", "below", "nan")}
    wrong["above"][2, 3], wrong["below"][0, 63], wrong["nan"][4, 0] = 1 + 1e-9, -5e-324, np.nan
    for name, row in (("above", 2), ("below", 0), ("nan", 4)):
        assert_rows(model, lambda m, n=name, **k: m.sample(5, u=wrong[n], condition={"label": 3}, **k), [row], library)
    for value in (10, -1, 1 << 40, -(1 << 62)):
        bad = label.copy()
        bad[3] = value
        assert_rows(model, lambda m, b=bad, **k: m.sample(5, u=u, condition={"label": b}, **k), [3], library)
    for value in (model.levels, -1, (1 << 32) + 1, -(1 << 63)):
        bad = x.copy()
        bad[1, 0, 7, 7] = value
        for name in ("log_prob", "bits_per_dim", "rosenblatt", "logits") if value > 0 else ("log_prob",):
            assert_rows(
                model, lambda m, b=bad, f=name, **k: getattr(m, f)(b, condition={"label": 3}, **k), [1], library
            )
        still = lambda m, b=bad, **k: m.complete(b, known=HALF, rng=1, condition={"label": 3}, **k)
        assert np.array_equal(still(Visiting(model, library)), still(model)), "what is not known may hold anything"
        bad[1, 0, 0, 0] = value
        assert_rows(model, still, [1], library)
    lower, upper = model.rosenblatt(x, condition={"label": 3})
    lower[2, 5] = upper[2, 5] + 1e-3
    pair = lambda m, **k: m.inverse_rosenblatt((lower, upper), condition={"label": 3}, **k)
    found, good = pair(Visiting(model, library), check="mask")
    assert good.tolist() == [True, True, False, True, True] and blank(found[2])
    with pytest.raises(ValueError, match=r"lower and upper must hold 0 <= lower <= upper <= 1, not at \[2, 5\]"):
        pair(Visiting(model, library), check="raise")


def test_numbers_that_are_none(library: Library, one_thread: None) -> None:
    model = load(feed_forward(3, False))
    x, c = (np.random.default_rng(k).standard_normal((4, *s)) for k, s in enumerate([model.input_shape, (3,)]))
    for value in (np.nan, np.inf, 1e300):
        bad = [x.copy(), c.copy()]
        bad[0].reshape(4, -1)[1, 0] = bad[1][2, 1] = value
        assert_rows(model, lambda m, b=bad[0], **k: m.log_prob(b, condition={"c": c}, **k), [1], library)
        assert_rows(model, lambda m, b=bad[1], **k: m.apply(x, condition={"c": b}, **k), [2], library)


def test_tokens_of_prompts(library: Library) -> None:
    model = tokens.Case(1).model
    prompt = np.zeros((4, 5), int)
    prompt[2, 4] = model.levels
    m = Visiting(model, library)
    found, good = m.sample(4, rng=0, prompt=prompt, check="mask")
    assert good.tolist() == [True, True, False, True] and blank(found[2])
    with pytest.raises(ValueError, match=rf"prompt 2\[4\] is {model.levels}, outside the tokens"):
        m.sample(4, rng=0, prompt=prompt, check="raise")


def test_rows_without_a_distribution(library: Library, one_thread: None) -> None:
    head = heads.Categorical(4, values=[0, 1, 2, 3e38])
    model, _ = hand_made.autoregression(head, scale=1e3, bias=np.zeros(4))
    u = np.full((ROWS, hand_made.P), 0.1)
    u[:, -1] = 0.9
    u[[3, 5], [1, 0]] = 0.999
    assert_rows(model, lambda m, **k: m.sample(ROWS, u=u, **k), [3, 5], library, NumericalError)
    x = np.zeros((ROWS, hand_made.P), int)
    x[4, 1] = 3
    for name in ("log_prob", "bits_per_dim", "rosenblatt"):
        assert_rows(model, lambda m, f=name, **k: getattr(m, f)(x, **k), [4], library, NumericalError)


def test_outputs_that_are_not_finite(library: Library) -> None:
    layer = torch.nn.Linear(4, 4)
    torch.nn.init.ones_(layer.weight)
    model = gf.compile(layer, torch.zeros(1, 4), latent="given")
    x = np.array([[0] * 4, [3e38] * 4, [1] * 4], np.float32)
    assert_rows(model, lambda m, **k: m.apply(x, **k), [1], library, NumericalError)


def test_rounds_that_diverge(library: Library, one_thread: None) -> None:
    model = load(pulled().bytes())
    to = np.zeros((3, 1, 2, 2), np.float32)
    to[1, 0, 1, 0] = 2e38
    call = lambda m, **k: m.apply(np.zeros((3, 1, 2, 2)), rng=0, condition={"to": to}, **k)
    assert_rows(model, call, [1], library, NumericalError)


def test_uniforms_of_rolls(library: Library, one_thread: None) -> None:
    model = load(iterated(2, True, 2))
    rng = np.random.default_rng(0)
    x, u = rng.standard_normal((3, *model.input_shape)), rng.random((3, model.uniforms))
    condition = {"c": rng.standard_normal((3, 3)).astype(np.float32)}
    u[1, -1] = 1.5
    u[0, 0] = 7  # of a site, which is given
    assert_rows(model, lambda m, **k: m.apply(x, u=u, condition=condition, **k), [1], library)


def test_pairs_of_guidance_fail_together(library: Library) -> None:
    _, model = guidance.build("vector")
    name = model.conditions[0]["name"]
    without = np.zeros((5, 3))
    without[3, 1] = np.inf
    m = Visiting(model, library)
    how = {"condition": {name: np.zeros((5, 3))}, "guidance": 2.0, "unconditional": {name: without}}
    found, good = m.sample(5, rng=0, **how, check="mask")
    assert good.tolist() == [True, True, True, False, True] and blank(found[3])


# ---- calls that wait


def test_what_needs_the_host_waits(library: Library) -> None:
    model = tokens.Case(1).model
    m = there(model, library)
    u = np.random.default_rng(1).random((ROWS, tokens.T))
    several = tokens.prompts_of([0, 1, 2, 17, 33, 39])
    gone: list[tuple[int, int]] = []
    calls: Calls = {
        "stop": lambda m: m.sample(ROWS, u=m.put(u), stop=[2, 5]),
        "prompts": lambda m: m.sample(ROWS, u=m.put(u), prompt=[list(p) for p in several], max_tokens=3),
        "progress": lambda m: m.sample(ROWS, u=m.put(u), progress=lambda *at: gone.append(at)),
    }
    for name, call in calls.items():
        model.put, m.put = lambda x: x, library.put  # type: ignore[attr-defined]
        before = library.waits.count
        found, want = library.look(call(m)), call(model)
        assert found.dtype == want.dtype and np.array_equal(found, want), name
        assert library.waits.count > before, name
    assert gone
    columns = list(m.stream(ROWS, u=library.put(u), stop=4))
    assert np.array_equal(
        np.stack([library.look(c) for c in columns], 1), np.stack(list(model.stream(ROWS, u=u, stop=4)), 1)
    )
    _, good = m.sample(ROWS, u=library.put(u), stop=[2], check="mask")
    assert library.look(good).all()


def test_threads_share_no_memory(library: Library) -> None:
    model = gf.load("digits")
    m = there(model, library)
    want = [model.sample(9, rng=seed, condition={"label": seed}) for seed in range(4)]
    found: list[Any] = [None] * 4

    def draw(seed: int) -> None:
        for _ in range(3):
            found[seed] = m.sample(9, rng=seed, condition={"label": seed})

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(library.look(a), b) for a, b in zip(found, want, strict=True))


def test_arrays_are_checked_once_more_where_they_are_used(cuda: Any) -> None:
    model = gf.load("digits")
    core, empty = model._core.to(DEVICE), np.empty(0, np.float32)
    Arguments, decode, Place, Tensor = gf._core.Arguments, cuda.decode, cuda.sampling.Place, cuda.sampling.Tensor
    program = core.program(Arguments(conditions={"label": empty}), True, False, False, 0)

    def call(place: Any, rows: int = 2) -> Any:
        return decode.Call(program, place, rows, 1.0, 1.0, 1 << 62, 1.0, 0.0, 64)

    with pytest.raises(ValueError, match="the model runs on another device than its arrays"):
        call(Place.on(0, 1))
    one = call(Place.emulated())
    with pytest.raises(ValueError, match="u is too short"):
        one.set("u", Tensor(np.zeros(127).__dlpack__()))
    with pytest.raises(ValueError, match="u has the wrong dtype, float32"):
        one.set("u", Tensor(np.zeros(128, np.float32).__dlpack__()))
    with pytest.raises(ValueError, match="a call has no array v"):
        one.set("v", Tensor(np.zeros(128).__dlpack__()))
    with pytest.raises(ValueError, match="the sites are missing"):
        one.run()
    one.set("levels", Tensor(np.zeros(128, np.int32).__dlpack__()))
    with pytest.raises(ValueError, match="good and workspace are missing"):
        one.run()
    one.set("good", Tensor(np.zeros(2, np.uint8).__dlpack__()))
    one.set("workspace", Tensor(np.zeros(8, np.uint8).__dlpack__()))
    with pytest.raises(ValueError, match="conditions are missing"):
        one.run()
    one.set("conditions", Tensor(np.zeros(2, np.float32).__dlpack__()))
    with pytest.raises(ValueError, match="the workspace is too small"):
        one.run()
    with pytest.raises(ValueError, match="the model has no condition 'other'"):
        core.program(Arguments(conditions={"label": empty, "other": empty}), True, False, False, 0)


def test_a_captured_graph_keeps_what_it_reads(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs and masks of plans with known sites are dropped when eight others came; not those that a graph reads."""
    model = gf.load("digits")
    m, x = there(model, library), library.put(np.zeros((8, 8), int)[None])

    def complete(first: int) -> Any:
        return m.complete(x, known=np.arange(64).reshape(8, 8) < first, rng=0, condition={"label": 3})

    complete(8)
    assert not m.__dict__.get("_captured")
    recorded = (device_arrays.CupySpace if library.name == "cupy" else device_arrays.TorchSpace, "capturing")
    monkeypatch.setattr(*recorded, property(lambda self: True))
    complete(8)
    monkeypatch.setattr(*recorded, property(lambda self: False))
    ((program, mask),) = m._captured
    for first in range(16, 26):
        complete(first)
    assert (
        type(program).__name__ == "PyCapsule"
        and len(m._masks) == 8
        and not any(mask is kept for kept in m._masks.values())
    )
    assert np.array_equal(library.look(mask), np.arange(64) < 8)
