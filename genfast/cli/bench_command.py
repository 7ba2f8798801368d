from __future__ import annotations

import importlib.util
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from genfast.cli.paths import OUT
from genfast.whole_file import whole_file

if TYPE_CHECKING:
    from torch import Tensor, nn

    from genfast.heads import Bernoulli, Categorical

    Head = Bernoulli | Categorical


def cpu_name() -> str:
    """The processor's name as the kernel tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def recipes_own(name: str) -> tuple[nn.Module, Any]:
    """The network of a recipe of images of pixel after pixel with fresh weights (the time does not depend on them), for
    digits, and an example.

    Raises ValueError for a name that is no such recipe's.
    """
    if name.endswith(".genfast"):
        raise ValueError(f"{name}: a .genfast file holds no PyTorch model to compare with; name FILE.py:FUNCTION")
    import torch

    from genfast.zoo.data import digits
    from genfast.zoo.image_task import ImageRecipe, example
    from genfast.zoo.recipes import RECIPES

    recipes = {known: entry.recipe for known, entry in RECIPES.items() if isinstance(entry.recipe, ImageRecipe)}
    recipe = recipes.get("gated" if name == "digits" else name)
    if recipe is None:
        raise ValueError(f"{name!r}: name a recipe ({', '.join(recipes)}) or your own file as FILE.py:FUNCTION")
    data = digits()
    torch.manual_seed(0)
    return recipe.network(data, augmentations=0), example(data)


def own(spec: str) -> tuple[nn.Module, Any, Head | None]:
    """What FUNCTION of FILE.py returns, the head None where it names none.

    Raises ValueError when it is not (model, example) or (model, example, head), OSError without the file.
    """
    from torch import nn

    from genfast.heads import Bernoulli, Categorical

    file, _, function = spec.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    module_spec = importlib.util.spec_from_file_location(path.stem, path)
    if module_spec is None or module_spec.loader is None:
        raise ValueError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(module_spec)
    try:
        module_spec.loader.exec_module(module)
        made = getattr(module, function)()
    except Exception as error:  # the user's own code may raise anything
        raise ValueError(f"{spec}: {type(error).__name__}: {error}") from error
    if not (isinstance(made, tuple) and len(made) in (2, 3) and isinstance(made[0], nn.Module)):
        raise ValueError(
            f"{spec} must return (model, example) or (model, example, head): a torch.nn.Module, the arguments of one "
            "call, and a head of genfast.heads"
        )
    head = made[2] if len(made) == 3 else None
    if head is not None and not isinstance(head, (Bernoulli, Categorical)):
        raise ValueError(f"{spec}: the head must be of genfast.heads, got {type(head).__name__}")
    return made[0], made[1], head


def batch_of(example: Any, n: int) -> tuple[Any, ...]:
    """The example's rows repeated to a batch of n, as a tuple of the model's arguments: tensors, and what is passed on
    as it is. Raises ValueError when the first is no array, or one has no rows."""
    import torch

    arguments = []
    for argument in example if isinstance(example, (tuple, list)) else (example,):
        if isinstance(argument, np.ndarray):
            argument = torch.from_numpy(np.ascontiguousarray(argument))
        if isinstance(argument, torch.Tensor):
            if not argument.ndim or not len(argument):
                raise ValueError(f"the example needs at least one row, got an array of shape {tuple(argument.shape)}")
            argument = argument[torch.arange(n) % len(argument)].clone()
        arguments.append(argument)
    if not arguments or not isinstance(arguments[0], torch.Tensor):
        raise ValueError("the example must be a tensor or array, or a tuple that starts with one")
    return tuple(arguments)


def head_of(model: nn.Module, arguments: tuple[Any, ...]) -> Head:
    """A Categorical of as many levels as the model puts out numbers for a site, or a Bernoulli of one.

    Raises ValueError when the model cannot be called or its output has no whole number of them.
    """
    import torch

    from genfast.heads import Bernoulli, Categorical

    try:
        with torch.no_grad():
            out = model(*arguments)
    except Exception as error:  # the user's own code may raise anything
        raise ValueError(f"the model's call fails: {type(error).__name__}: {' '.join(str(error).split())}") from error
    x = arguments[0]
    if not isinstance(out, torch.Tensor) or not x.numel() or out.numel() % x.numel():
        got = f"shape {tuple(out.shape)}" if isinstance(out, torch.Tensor) else type(out).__name__
        raise ValueError(f"the model must put out the logits of every site of {tuple(x.shape)}, got {got}")
    levels = out.numel() // x.numel()
    return Bernoulli() if levels == 1 else Categorical(levels)


def by_site(out: Tensor, x: Tensor, levels: int) -> Tensor:
    """The logits (n, sites, levels) of an output that `genfast.export` took: on axis 1 or the last, where both fit on
    axis 1 for images and on the last for integer tokens (n, T)."""
    n, sites = len(x), x[0].numel()
    shape = [size for size in x.shape[1:] if size != 1]
    got = list(out.shape[1:])
    last = got[-1] == levels and [size for size in got[:-1] if size != 1] in (shape, [sites])
    first = levels in got[:2] and [size for size in got[got.index(levels) + 1 :] if size != 1] in (shape, [sites])
    tokens = x.ndim == 2 and not x.is_floating_point()
    if levels == 1 or (last and (tokens or not first)):
        return out.reshape(n, sites, levels)
    return out.reshape(n, levels, sites).movedim(1, 2)


def naive(model: nn.Module, arguments: tuple[Any, ...], u: NDArray[np.float64], head: Head) -> NDArray[np.int64]:
    """The loop that everybody writes: one forward pass a pixel, and the smallest level k with F(k) ≥ u.

    arguments: x (n, ...) with u.shape[1] sites a row, and the conditions; u: (n, sites). Returns levels (n, sites).
    """
    import torch

    from genfast.heads import Bernoulli

    x = torch.zeros(arguments[0].shape, dtype=arguments[0].dtype)
    rows = x.view(u.shape)
    fed = torch.from_numpy(head.fed(not x.is_floating_point())).to(x.dtype)
    out = np.zeros(u.shape, dtype=np.int64)
    outputs = 1 if isinstance(head, Bernoulli) else head.levels
    with torch.no_grad():
        for site in range(u.shape[1]):
            logits = by_site(model(x, *arguments[1:]), x, outputs)[:, site].double()
            drawn = torch.from_numpy(u[:, site : site + 1].copy())
            if isinstance(head, Bernoulli):
                level = (drawn > 1 - (logits if head.probs else torch.sigmoid(logits))).long()
            else:
                cdf = torch.softmax(logits, dim=1).cumsum(dim=1)
                level = torch.searchsorted(cdf, drawn).clamp(max=head.levels - 1)
            rows[:, site] = fed[level[:, 0]]
            out[:, site] = level[:, 0].numpy()
    return out


def median_seconds(call: Callable[[], Any], repeats: int) -> float:
    """The median of `repeats` timed calls after one to warm up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@click.command(name="bench")
@click.argument("model", default="digits")
@click.option("--batch", "batches", type=click.IntRange(min=1), multiple=True, default=(1, 16, 64), show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Of PyTorch and of genfast.")
@click.option(
    "--repeats", type=click.IntRange(min=1), default=5, show_default=True, help="Timed calls; medians are shown."
)
@click.option(
    "--naive-up-to",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Largest batch whose naive loop is run in full.",
)
@click.option("--json", "json_path", type=OUT, help="Write the figures there too.")
def command(
    model: str, batches: tuple[int, ...], threads: int, repeats: int, naive_up_to: int, json_path: Path | None
) -> None:
    """Time sampling MODEL with PyTorch, pixel by pixel, against genfast.

    MODEL is a recipe's name, whose network is timed with fresh weights, or FILE.py:FUNCTION, a function of your own
    file that returns (model, example) or (model, example, head): the torch.nn.Module, one input batch (a tuple where
    there are conditions) and a head of genfast.heads. Without one, the levels are the channels of the logits, and one
    channel is a Bernoulli's logit.

    \b
    Examples:
      genfast bench
      genfast bench my_model.py:make --batch 1 --batch 32 --threads 2
    """
    import torch
    from rich.console import Console
    from rich.table import Table

    import genfast as gf

    if json_path is not None and not json_path.parent.is_dir():
        raise FileNotFoundError(f"{json_path.parent}: no such folder")
    given: Head | None = None
    if ":" in model:
        network, example, given = own(model)
    else:
        network, example = recipes_own(model)
    network.eval()
    torch.set_num_threads(threads)
    gf.set_num_threads(threads)
    head = given or head_of(network, batch_of(example, 1))
    compiled = gf.compile(network, example, head=head)
    names = [condition["name"] for condition in compiled.conditions]
    sites = int(np.prod(compiled.input_shape))
    console = Console(markup=False, emoji=False, highlight=False, soft_wrap=True)
    parameters = sum(p.numel() for p in network.parameters())
    shape = " × ".join(map(str, compiled.input_shape))
    about_weights = "" if ":" in model else "; the recipe's network with fresh weights, as their values cost no time"
    console.print(f"{model}: {shape}, {head.levels} levels, {parameters:,} parameters{about_weights}")
    console.print(
        f"{cpu_name()}, {gf.cpu_target()}, threads {threads}, torch {torch.__version__}, medians of {repeats}"
    )
    table = Table(
        "batch", "naive PyTorch", "one forward pass", "genfast", "genfast / forward", "naive / genfast", "equal pixels"
    )
    results = []
    for n in batches:
        arguments = batch_of(example, n)
        u = np.random.default_rng(0).random((n, sites))
        tensors = [argument for argument in arguments[1:] if isinstance(argument, torch.Tensor)]
        condition = {name: value.numpy() for name, value in zip(names, tensors, strict=True)} or None
        with torch.no_grad(), console.status(f"batch {n}: one forward pass"):
            forward = median_seconds(lambda: network(*arguments), repeats)  # noqa: B023 (called at once)
        with console.status(f"batch {n}: genfast"):
            fast = median_seconds(lambda: compiled.sample(n, u=u, condition=condition), repeats)  # noqa: B023
        full, equal = n <= naive_up_to, None
        slow = forward * sites
        if full:
            with console.status(f"batch {n}: naive PyTorch, {sites} forward passes"):
                start = time.perf_counter()
                expected = naive(network, arguments, u, head)
                slow = time.perf_counter() - start
            equal = float((compiled.sample(n, u=u, condition=condition).reshape(n, -1) == expected).mean())
        table.add_row(
            str(n),
            f"{'' if full else '≈ '}{slow:.3f} s",
            f"{forward * 1e3:.2f} ms",
            f"{fast * 1e3:.2f} ms",
            f"{fast / forward:.2f}×",
            f"{slow / fast:,.0f}×",
            "" if equal is None else f"{equal:.2%}",
        )
        figures = {"batch": n, "naive_s": slow, "naive_in_full": full, "forward_s": forward, "genfast_s": fast}
        results.append({**figures, "equal_pixels": equal})
    console.print(table)
    console.print("≈: not run in full; one forward pass × sites")
    if json_path is not None:
        about = {
            "model": model,
            "cpu": cpu_name(),
            "target": gf.cpu_target(),
            "threads": threads,
            "torch": torch.__version__,
        }
        with whole_file(json_path) as file:
            file.write(json.dumps({**about, "repeats": repeats, "results": results}, indent=1).encode() + b"\n")
