"""Models as device programs, run on the host: every kind of model, head and call gives the CPU's bits, whatever the
order of the items of a phase, the threads a block has and the rows it takes."""

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
from outputs_for_tests import feed_forward, iterated, load  # noqa: E402
from sampling_for_tests import FILTERS as THRESHOLDS  # noqa: E402
from sampling_for_tests import structured  # noqa: E402
from test_format_attend import attention  # noqa: E402
from test_format_output import iterated as pulled  # noqa: E402

import genfast as gf  # noqa: E402
from genfast import heads  # noqa: E402
from genfast._core import backend_registry  # noqa: E402
from genfast.devices import extension  # noqa: E402
from genfast.errors import NumericalError  # noqa: E402
from genfast.zoo.independent import Independent  # noqa: E402

ORDERS, THREADS, BLOCK_ROWS = ("rising", "falling", "shuffled"), (1, 64, 1024), (0, 1, 3)
# Nine choices of three devices each: every order, threads and rows are in each choice, all 27 combinations in one.
CHOICES = [
    [(ORDERS[i], THREADS[(i + a) % 3], BLOCK_ROWS[(i + b) % 3]) for i in range(3)] for a in range(3) for b in range(3)
]
# Room for all weights of the models here, for those of the next product or a few small ones, and for none.
SHARED = {1: 1 << 16, 64: 1 << 11, 1024: 0}
ROWS = 7
Call = Callable[[gf.Model], Any]


def name_of(order: str, threads: int, block_rows: int) -> str:
    return f"test-{order}-{threads}-{block_rows}"


@pytest.fixture(scope="module", autouse=True)
def devices(cuda: Any) -> None:
    for device in {device for choice in CHOICES for device in choice}:
        order, threads, block_rows = device
        extension().register_emulated(
            backend_registry(),
            name_of(*device),
            order=order,
            threads=threads,
            block_rows=block_rows,
            shared_bytes=SHARED[threads],
        )


def moved(model: gf.Model, device: tuple[str, int, int]) -> gf.Model:
    return gf.Model(model._core.to(name_of(*device)))


def choice(name: str) -> list[tuple[str, int, int]]:
    return CHOICES[sum(name.encode()) % 9]


def arrays(result: Any) -> list[np.ndarray]:
    return list(result) if isinstance(result, tuple) else [result]


def assert_same(model: gf.Model, calls: Mapping[str, Call], on: list[tuple[str, int, int]]) -> None:
    """The same bits from every call on every device."""
    want = {name: arrays(call(model)) for name, call in calls.items()}
    for device in on:
        there = moved(model, device)
        for name, call in calls.items():
            for ours, theirs in zip(arrays(call(there)), want[name], strict=True):
                assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
                assert ours.tobytes() == theirs.tobytes(), (name, device)


def first_half(model: gf.Model, order: np.ndarray | None = None) -> np.ndarray:
    """A mask of the first sites of the order."""
    sites = np.prod(model.input_shape)
    order = np.arange(sites) if order is None else order
    known = np.zeros(sites, bool)
    known[order[: sites // 2]] = True
    return known.reshape(model.input_shape)


def every_call(
    model: gf.Model, order: np.ndarray | None = None, condition: Any = None, **options: Any
) -> dict[str, Call]:
    """Draw, score and complete; what is scored was drawn without the options, so that filters drop some of it."""
    how = {"condition": condition, **options}
    x = model.sample(ROWS, rng=3, condition=condition)
    known = first_half(model, order)
    return {
        "sample": lambda m: m.sample(ROWS, rng=1, **how),
        "log_prob": lambda m: m.log_prob(x, **how),
        "log_prob of its own": lambda m: m.log_prob(m.sample(ROWS, rng=1, **how), **how),
        "rosenblatt": lambda m: m.rosenblatt(x, **how),
        "complete": lambda m: m.complete(x, known=known, rng=2, **how),
        "logits": lambda m: m.logits(x, condition=condition),
    }


@pytest.mark.parametrize("name", FAMILIES)
def test_families(name: str) -> None:
    family = build(name)
    model = family.compile()
    condition = family.condition(ROWS) or None
    calls = every_call(model, family.order, condition)
    if not isinstance(family.head, heads.Distribution | heads.DiscretizedLogisticMixture):
        calls["tempered"] = lambda m: m.sample(ROWS, rng=4, condition=condition, temperature=0.7)
    calls["site by site"] = lambda m: m.sample(ROWS, rng=1, condition=condition, wavefront=False)
    assert_same(model, calls, choice(name))


@pytest.mark.parametrize("name", ["100 levels", *hand_made.MIXTURES, *hand_made.FAMILIES])
def test_heads(name: str) -> None:
    channels = 1
    if name == "100 levels":
        model, _ = hand_made.autoregression(heads.Categorical(100))
    elif name in hand_made.MIXTURES:
        head, channels = hand_made.MIXTURES[name]
        model, _ = hand_made.autoregression(head, channels)
    else:
        head, more = hand_made.FAMILIES[name]
        model, _ = hand_made.autoregression(head, seed=4, **more)
    order = np.arange(hand_made.P * channels).reshape(channels, -1).T.reshape(-1)
    calls = every_call(model, order)
    many = model.sample(60, rng=5)  # whose sites do not fit the scratch of a phase at once
    calls["many rows"] = lambda m: (m.log_prob(many), *m.rosenblatt(many))
    assert_same(model, calls, [device for some in CHOICES for device in some])


# Parameters of every family, from channels of the network or fixed; all within the domain.
LOC, SCALE, SHAPE, SHARE = (
    (0, "identity"),
    (1, "softplus", 1.0, 0.1),
    (0, "softplus", 2.0, 0.3),
    (1, "sigmoid", 0.8, 0.1),
)
LOCATED = ("Normal", "LogNormal", "Laplace", "Logistic", "Cauchy", "Gumbel")
PARAMETERS: dict[str, dict[str, Any]] = {
    "Uniform": {"low": (0, "tanh"), "high": (1, "sigmoid", 1.0, 1.5)},
    **{key: {"loc": LOC, "scale": SCALE} for key in LOCATED},
    **{key: {"scale": SCALE} for key in ("HalfNormal", "Exponential", "Rayleigh")},
    **{key: {"shape": SHAPE, "scale": SCALE} for key in ("Weibull", "Pareto", "Gamma", "InverseGamma")},
    "Triangular": {"low": -1.0, "mode": (0, "sigmoid"), "high": (1, "sigmoid", 1.0, 1.0)},
    **{key: {"a": SHAPE, "b": SCALE} for key in ("Kumaraswamy", "Beta")},
    "F": {"dfn": SHAPE, "dfd": (1, "softplus", 1.0, 4.0)},
    "Chi2": {"df": SHAPE},
    "StudentT": {"df": (1, "softplus", 1.0, 3.0), "loc": LOC, "scale": SCALE},
    "Poisson": {"rate": SHAPE},
    "Binomial": {"n": 9.0, "p": SHARE},
    "NegativeBinomial": {"n": SHAPE, "p": SHARE},
    "Geometric": {"p": SHARE},
    "Bernoulli": {"p": SHARE},
    "DiscreteUniform": {"low": -2.0, "high": 5.0},
    "Hypergeometric": {"good": 7.0, "bad": 12.0, "draws": 6.0},
    "VonMises": {"loc": LOC, "concentration": SHAPE},
}


def channels_behind(parameter: Any, components: int) -> Any:
    """A parameter's channels, one each component, behind the mixture's logits."""
    if not isinstance(parameter, tuple):
        return parameter
    return (components * (1 + parameter[0]), *parameter[1:])


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("name", PARAMETERS)
def test_distributions(name: str, components: int) -> None:
    parameters = PARAMETERS[name]
    if components == 1:
        head = heads.Distribution(name, **parameters)
    else:
        behind = {key: channels_behind(parameter, components) for key, parameter in parameters.items()}
        head = heads.Distribution(name, components, logits=0, **behind)
    model, _ = hand_made.autoregression(head, scale=0.1)
    calls = every_call(model)
    u = np.full((5, hand_made.P), 0.4)
    u[:, -1] = [0.0, 1.0, 5e-324, 1 - 2.0**-53, 0.5]  # of a site that nothing reads: infinities may be drawn
    calls["ends of u"] = lambda m: m.sample(len(u), u=u)
    assert_same(model, calls, choice(name))


FILTERS: list[dict[str, Any]] = [
    {"top_k": 3},
    {"top_p": 0.7},
    {"min_p": 0.2},
    {"top_k": 20, "top_p": 0.8, "min_p": 0.01, "temperature": 0.7},
    {"top_p": 1e-9},
    {"top_p": 0.999, "temperature": 1e-3},
    {"top_k": 2, "top_p": 0.9},
]


@pytest.mark.parametrize("levels", [2, 5, 300, 2000])
@pytest.mark.parametrize("ties", [False, True])
def test_filters(levels: int, ties: bool) -> None:
    bias = np.random.default_rng(levels).integers(-2, 3, levels).astype(float) if ties else None
    model, _ = hand_made.autoregression(heads.Categorical(levels), scale=0.0 if ties else 1.5, bias=bias)
    for i, options in enumerate(FILTERS):
        assert_same(model, every_call(model, **options), CHOICES[(i + levels) % 9])


class Rows(torch.nn.Module):
    """Logits of a row of a table, whichever the label says; infinities by overflow, as no weight may be one."""

    def __init__(self, table: np.ndarray) -> None:
        super().__init__()
        finite = np.clip(table / 4, -3e38, 3e38).astype(np.float32)
        self.table = torch.nn.Parameter(torch.from_numpy(finite)[:, None, None, :].repeat(1, 1, 2, 1))

    def forward(self, x: Any, label: Any) -> Any:
        return 4.0 * self.table[label].permute(0, 3, 1, 2)


def rows_of(table: np.ndarray) -> gf.Model:
    example = torch.zeros(2, 1, 1, 2), torch.tensor([0, 1])
    return gf.compile(Rows(table), example, head=heads.Categorical(table.shape[1]))


@pytest.mark.parametrize("levels", [10, 700, 5000])
def test_filters_of_rows_that_are_hard_to_cut(levels: int) -> None:
    """Equals at the threshold, sums that meet their target, what cannot be drawn: rows that differ, side by side."""
    styles = ["equal", "ties", "eighths", "halving", "sparse", "sparse"]
    table = np.concatenate([structured(style, 1, levels) for style in styles])
    table[5, 1:] = -np.inf
    model = rows_of(table)
    rows = np.resize(np.arange(len(table)), 13)
    u, condition = np.random.default_rng(levels).random((13, 2)), {"label": rows}
    x = model.sample(13, u=u, condition=condition)
    for i, (top_k, top_p, min_p) in enumerate(THRESHOLDS):
        how = {"condition": condition, "top_k": min(top_k, 2**31 - 1), "top_p": top_p, "min_p": min_p}
        calls: dict[str, Call] = {
            "sample": lambda m, how=how: m.sample(13, u=u, **how),
            "log_prob": lambda m, how=how: m.log_prob(x, **how),
            "rosenblatt": lambda m, how=how: m.rosenblatt(x, **how),
            "tempered": lambda m, how=how: m.sample(13, u=u, temperature=1.7, **how),
        }
        assert_same(model, calls, CHOICES[(i + levels) % 9])


@pytest.mark.parametrize("levels", [10, 5000])
def test_filters_note_rows_without_a_distribution(levels: int, one_thread: None) -> None:
    for bad, temperature in ((3e38, 0.1), (-np.inf, 1.0)):
        table = structured("ties", 4, levels)
        table[2] = bad
        model, condition = rows_of(table), {"label": [0, 1, 3, 2, 1, 2, 0]}
        for options in ({"top_k": 3}, {"top_p": 0.5}, {"top_k": 7, "top_p": 0.5}, {"min_p": 0.1}):
            how = {"condition": condition, "temperature": temperature, **options}
            call: Call = lambda m, how=how: m.sample(7, rng=0, **how)
            want = message(call, model)
            assert want.startswith("row 3, site 0: ")
            for device in choice(f"{levels}{options}"):
                assert message(call, moved(model, device)) == want


@pytest.mark.parametrize("options", [{}, *FILTERS[:2], {"top_k": 4, "top_p": 0.9, "temperature": 0.8}])
@pytest.mark.parametrize("kind", ["label", "vector"])
def test_guidance(kind: str, options: dict[str, Any]) -> None:
    _, model = guidance.build(kind)
    name = model.conditions[0]["name"]
    vectors = np.random.default_rng(0).standard_normal((ROWS, 3)).astype(np.float32)
    condition = {name: np.arange(ROWS) % guidance.NONE if kind == "label" else vectors}
    without = {name: guidance.NONE if kind == "label" else np.zeros(3, np.float32)}
    for strength in (2.5, -0.5):
        calls = every_call(model, None, condition, guidance=strength, unconditional=without, **options)
        assert_same(model, calls, choice(f"{kind}{options}"))


@pytest.mark.parametrize("shift", [1, 0], ids=["next", "same"])
def test_tokens(shift: int) -> None:
    model = tokens.Case(shift).model
    several, length = tokens.prompts_of([0, 1, 2, 17, 33, 39, 40]), tokens.prompts_of([5] * ROWS)
    u = np.random.default_rng(1).random((ROWS, tokens.T))
    calls: dict[str, Call] = {
        "prompts": lambda m: m.sample(ROWS, u=u, prompt=several),
        "filtered": lambda m: m.sample(ROWS, u=u, prompt=several, top_k=4, top_p=0.8),
        "stop": lambda m: m.sample(ROWS, u=u, prompt=length, stop=[2, 5]),
        "limit": lambda m: m.sample(ROWS, u=u, prompt=length, max_tokens=4),
        "stream": lambda m: np.stack(list(m.stream(ROWS, u=u, prompt=several, stop=4)), 1),
        "whole": lambda m: m.sample(ROWS, rng=5),
    }
    assert_same(model, calls, choice(str(shift)) + choice("another"))


@pytest.mark.parametrize("part", range(6))
def test_random_graphs(part: int) -> None:
    for seed in range(part * 8, part * 8 + 8):
        made = graphs.random_model(seed)
        if made is None:
            continue
        condition = {"c": np.random.default_rng(seed).standard_normal((ROWS, 3)).astype(np.float32)}
        x = made[0].sample(ROWS, rng=1, condition=condition)
        calls: dict[str, Call] = {
            "sample": lambda m, c=condition: m.sample(ROWS, rng=1, condition=c),
            "log_prob": lambda m, x=x, c=condition: m.log_prob(x, condition=c),
        }
        assert_same(made[0], calls, CHOICES[seed % 9])


def output_calls(model: gf.Model, seed: int, given: bool) -> dict[str, Call]:
    rng = np.random.default_rng(seed)
    condition = {"c": rng.standard_normal((ROWS, 3)).astype(np.float32)}
    x, u = rng.standard_normal((ROWS, *model.input_shape)).astype(np.float32), rng.random((ROWS, model.uniforms))
    calls: dict[str, Call] = {"apply": lambda m: m.apply(x, u=u, condition=condition)}
    if not given:
        calls["sample"] = lambda m: m.sample(ROWS, u=u, condition=condition, return_latent=True)
    return calls


@pytest.mark.parametrize("given", [False, True])
def test_outputs(given: bool) -> None:
    for seed in range(30):
        model = load(feed_forward(seed, given))
        assert_same(model, output_calls(model, seed, given), CHOICES[seed % 9])


@pytest.mark.parametrize("jitter", [0, 2])
@pytest.mark.parametrize("given", [False, True])
def test_iterations(given: bool, jitter: int) -> None:
    for seed in range(20):
        model = load(iterated(seed, given, jitter))
        assert_same(model, output_calls(model, seed, given), CHOICES[seed % 9])


@pytest.mark.parametrize("name", feedforward.FAMILIES)
def test_feed_forward_networks(name: str) -> None:
    make, arguments = feedforward.FAMILIES[name]
    _, inputs, model = feedforward.compiled(make, *arguments)
    assert_same(model, {"apply": lambda m: feedforward.apply(m, inputs)}, choice(name))


@pytest.mark.parametrize("dtype", ["bf16", "int8"])
@pytest.mark.parametrize("name", ["minGPT", "PixelCNN++ RGB", "MADE of levels", "MAF of two outputs", "GRU"])
def test_reduced_weights(name: str, dtype: str) -> None:
    family = build(name)
    model = family.compile().quantize(dtype)
    assert_same(model, every_call(model, family.order), choice(name + dtype))


def test_uniforms_on_a_border_take_the_level_below() -> None:
    """64 equal levels: F(k) = (k + 1) / 64 exactly, and the smallest k with F(k) >= u at u = j / 64 is j - 1."""
    network = Independent(np.full((1, 64, 65, 1), 1 / 64), labelled=False)
    model = gf.compile(network, torch.zeros(1, 1, 65, 1), head=heads.Categorical(64))
    u = np.arange(65)[None] / 64
    want = np.maximum(np.arange(65) - 1, 0).reshape(1, 1, 65, 1)
    assert np.array_equal(model.sample(1, u=u), want)
    assert_same(model, {"sample": lambda m: m.sample(1, u=u)}, CHOICES[0])


@pytest.mark.parametrize("name", gf.models())
def test_bundled_models(name: str) -> None:
    model, n = gf.load(name), 4
    whole = {c["name"]: np.arange(n) % c["size"] for c in model.conditions if c["dtype"] == "int"}
    condition = whole or None
    if not model._core.has_distribution:
        x = np.random.default_rng(0).random((n, *model.input_shape), np.float32)
        calls: dict[str, Call] = {"apply": lambda m: m.apply(x, condition=condition)}
    else:
        limit = {"max_tokens": 30} if model.is_tokens else {}
        calls = {"sample": lambda m: m.sample(n, rng=1, condition=condition, **limit)}
    assert_same(model, calls, [choice(name)[sum(name.encode()) % 3]])


# ---- errors


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The CPU takes all rows together, step by step, as devices do."""
    before = gf.num_threads()
    gf.set_num_threads(1)
    yield
    gf.set_num_threads(before)


def message(call: Call, model: gf.Model) -> str:
    with pytest.raises(NumericalError) as caught:
        call(model)
    return str(caught.value)


HUGE = np.linspace(-3e38, 3e38, 300)


@pytest.mark.parametrize(
    ("head", "filters"),
    [
        (heads.Categorical(5, values=HUGE[::70]), {}),
        (heads.Categorical(5, values=HUGE[::70]), {"top_k": 2}),
        (heads.Categorical(300, values=HUGE), {}),
        (heads.Categorical(300, values=HUGE), {"top_p": 0.5}),
        (heads.Bernoulli(probs=True), {}),
        (heads.DiscretizedLogisticMixture(2, levels=5, values=HUGE[::70]), {}),
        (heads.DiscretizedLogisticMixture(2, values=HUGE[:256]), {}),
    ],
)
def test_what_makes_no_distribution_is_named_as_on_the_cpu(
    head: Any, filters: dict[str, Any], one_thread: None
) -> None:
    """Sums of what earlier sites say overflow, in some rows earlier than in others."""
    model, _ = hand_made.autoregression(head, scale=1e3, bias=np.full(head.channels(1), 0.5))
    u = np.random.default_rng(0).random((ROWS, hand_made.P))
    x = np.resize(np.arange(head.levels), (ROWS, hand_made.P))
    for call in (lambda m: m.sample(ROWS, u=u, **filters), lambda m: m.log_prob(x, **filters)):
        want = message(call, model)
        assert ", site " in want
        for device in choice(str(head)):
            assert message(call, moved(model, device)) == want


def test_the_first_step_that_fails_is_named(one_thread: None) -> None:
    head = heads.Categorical(4, values=[0, 1, 2, 3e38])
    model, _ = hand_made.autoregression(head, scale=1e3, bias=np.zeros(4))
    u = np.full((ROWS, hand_made.P), 0.1)
    u[[3, 5], [1, 0]] = 0.999
    want = message(lambda m: m.sample(ROWS, u=u), model)
    assert want.startswith("row 5, site 1: ")
    for device in choice("first"):
        assert message(lambda m: m.sample(ROWS, u=u), moved(model, device)) == want


@pytest.mark.parametrize(
    ("head", "numbers"),
    [
        (heads.Normal("identity"), [0, -0.5]),
        (heads.GaussianMixture(2, "identity"), [0, 0, 1, 1, 1, 0]),
        (heads.GaussianMixture(2), [0, 0, 1, 1, 1, 1e4]),
        (heads.Distribution("Binomial", n=(0, "identity"), p=0.5), [2.5]),
    ],
)
def test_parameters_outside_the_family_are_reported(head: Any, numbers: list, one_thread: None) -> None:
    model, _ = hand_made.autoregression(head, **hand_made.unconditional(*numbers))
    calls: list[Call] = [lambda m: m.sample(300, rng=0), lambda m: m.log_prob(np.zeros((300, hand_made.P), np.float32))]
    for call in calls:
        want = message(call, model)
        assert want.startswith("row 0, site 0: ") and (head.family in want or "logits of the mixture" in want)
        for device in choice(str(head)):
            assert message(call, moved(model, device)) == want


@pytest.mark.parametrize("components", [1, 3])
def test_the_first_of_many_failures_has_its_parameters_told(components: int, one_thread: None) -> None:
    """Scales of exp(big numbers) overflow in most rows, from some site on."""
    head = heads.GaussianMixture(components) if components > 1 else heads.Normal()
    model, _ = hand_made.autoregression(head, scale=3000.0, bias=np.zeros(head.channels(1)))
    for seed in range(4):
        x = np.random.default_rng(seed).standard_normal((200, hand_made.P)).astype(np.float32) * 2
        x[: 50 * seed] *= 1e-3
        calls: list[Call] = [lambda m, x=x: m.log_prob(x), lambda m, seed=seed: m.sample(200, rng=seed)]
        for call in calls:
            want = message(call, model)
            assert (" of component " in want) == (components > 1) and "its parameters" in want
            for device in choice(f"{components}{seed}"):
                assert message(call, moved(model, device)) == want


def test_an_iteration_that_diverges_names_row_and_round() -> None:
    model = load(pulled().bytes())
    to = np.zeros((3, 1, 2, 2), np.float32)
    to[1, 0, 1, 0] = 2e38
    for device in choice("diverges"):
        words = message(lambda m: m.apply(np.zeros((3, 1, 2, 2)), rng=0, condition={"to": to}), moved(model, device))
        assert words.startswith("row 1, round 1: state 0 is not finite") and "diverges" in words


def test_a_lookup_outside_its_table_names_layer_and_row() -> None:
    file = attention()
    file.graph["bos"], file.graph["nodes"][0]["rows"] = 0, 3
    file.weights[0] = file.weights[0][:3]
    model = load(file.bytes())
    x = np.zeros((ROWS, 4), int)
    x[[4, 2], [1, 1]] = 3
    assert "layer embed looks up an index outside its table of 3 rows" in message(lambda m: m.log_prob(x), model)
    for device in choice("lookup"):
        words = message(lambda m: m.log_prob(x), moved(model, device))
        assert words == "layer embed looks up an index outside its table of 3 rows (row 2)"
