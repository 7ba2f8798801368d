"""Models whose arrays lie on a GPU, played by stand-ins (gpu_arrays_for_tests.py) and run interpreted: every kind of
model, head and call gives the CPU's bits there, of the caller's library, and nobody waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
from torch.overrides import TorchFunctionMode  # noqa: E402

import genfast as gf  # noqa: E402
from genfast import heads  # noqa: E402
from genfast._core import backend_registry  # noqa: E402
from genfast.devices import extension  # noqa: E402

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
    return gf.Model(model._core.to(name), library.name)


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


@pytest.mark.parametrize("name", FAMILIES)
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


@pytest.mark.parametrize("name", ["100 levels", *hand_made.MIXTURES, *hand_made.FAMILIES])
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
    for n in (1, 5, 300):
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


def test_fast(library: Library) -> None:
    """The bits of the same program in NumPy's arrays."""
    model = gf.load("digits")
    label = np.arange(ROWS) % 10
    want = gf.Model(model._core.to(f"{DEVICE} fast")).sample(ROWS, rng=3, condition={"label": label})
    found = there(model, library, f"{DEVICE} fast").sample(ROWS, rng=3, condition={"label": library.put(label)})
    assert np.array_equal(library.look(found), want)
    assert not np.array_equal(want, model.sample(ROWS, rng=3, condition={"label": label}))
