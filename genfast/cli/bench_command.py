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

if TYPE_CHECKING:
    from torch import Tensor, nn


def cpu_name() -> str:
    """The processor's name as the kernel tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def bundled(name: str) -> tuple[nn.Module, Any]:
    """The network of a bundled model's recipe with fresh weights (the time does not depend on them), and an example."""
    import torch

    from genfast.zoo.gated import GatedPixelCNN
    from genfast.zoo.train import RECIPES

    if name not in RECIPES:
        raise ValueError(f"{name!r}: name a recipe ({', '.join(RECIPES)}) or your own file as FILE.py:FUNCTION")
    recipe = RECIPES[name]
    torch.manual_seed(0)
    model = GatedPixelCNN(17, recipe.channels, recipe.layers, 10, recipe.head_channels)
    return model, (torch.zeros(2, 1, 8, 8), torch.arange(2))


def own(spec: str) -> tuple[nn.Module, Any]:
    """What FUNCTION of FILE.py returns. Raises ValueError when it is not (model, example), OSError without the file."""
    from torch import nn

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
    if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], nn.Module)):
        raise ValueError(f"{spec} must return (model, example): a torch.nn.Module and the arguments of one call")
    return made


def batch_of(example: Any, n: int) -> tuple[Tensor, ...]:
    """The example's rows repeated to a batch of n, as a tuple of the model's arguments."""
    arguments = example if isinstance(example, tuple) else (example,)
    return tuple(a[np.arange(n) % len(a)].clone() for a in arguments)


def naive(model: nn.Module, arguments: tuple[Tensor, ...], u: NDArray[np.float64], levels: int) -> NDArray[np.int64]:
    """The loop that everybody writes: one forward pass a pixel, and the smallest level k with F(k) ≥ u.

    arguments: x (n, 1, H, W) and the conditions; u: (n, H·W). Returns levels (n, H·W).
    """
    import torch

    x = torch.zeros_like(arguments[0])
    out = np.zeros(u.shape, dtype=np.int64)
    width = x.shape[-1]
    with torch.no_grad():
        for site in range(u.shape[1]):
            logits = model(x, *arguments[1:])[:, :, site // width, site % width]
            cdf = torch.softmax(logits.double(), dim=1).cumsum(dim=1)
            level = torch.searchsorted(cdf, torch.from_numpy(u[:, site : site + 1].copy())).clamp(max=levels - 1)
            fed = level[:, 0].to(x.dtype)
            x[:, 0, site // width, site % width] = fed / (levels - 1) if x.is_floating_point() else fed
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
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the figures there too.")
def command(
    model: str, batches: tuple[int, ...], threads: int, repeats: int, naive_up_to: int, json_path: Path | None
) -> None:
    """Time sampling MODEL with PyTorch, pixel by pixel, against genfast.

    MODEL is a recipe's name, or FILE.py:FUNCTION, a function of your own file that returns (model, example): the
    torch.nn.Module and one input batch (a tuple where there are conditions). Its levels are the channels of its logits.

    \b
    Examples:
      genfast bench
      genfast bench my_model.py:make --batch 1 --batch 32 --threads 2
    """
    import torch
    from rich.console import Console
    from rich.table import Table

    import genfast as gf

    network, example = own(model) if ":" in model else bundled(model)
    network.eval()
    torch.set_num_threads(threads)
    gf.set_num_threads(threads)
    with torch.no_grad():
        levels = network(*batch_of(example, 1)).shape[1]
    compiled = gf.compile(network, example, head=gf.heads.Categorical(levels))
    names = [condition["name"] for condition in compiled.conditions]
    sites = int(np.prod(compiled.input_shape))
    console = Console(highlight=False)
    parameters = sum(p.numel() for p in network.parameters())
    console.print(f"{model}: {' × '.join(map(str, compiled.input_shape))}, {levels} levels, {parameters:,} parameters")
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
        condition = {name: value.numpy() for name, value in zip(names, arguments[1:], strict=True)} or None
        with torch.no_grad(), console.status(f"batch {n}: one forward pass"):
            forward = median_seconds(lambda: network(*arguments), repeats)  # noqa: B023 (called at once)
        with console.status(f"batch {n}: genfast"):
            fast = median_seconds(lambda: compiled.sample(n, u=u, condition=condition), repeats)  # noqa: B023
        full, equal = n <= naive_up_to, None
        slow = forward * sites
        if full:
            with console.status(f"batch {n}: naive PyTorch, {sites} forward passes"):
                start = time.perf_counter()
                expected = naive(network, arguments, u, levels)
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
        json_path.write_text(json.dumps({**about, "repeats": repeats, "results": results}, indent=1) + "\n")
