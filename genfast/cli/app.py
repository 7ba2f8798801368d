"""The command group: finds commands by name, and turns every expected error into one line and an exit code."""

from __future__ import annotations

import importlib
from typing import Any

import click

COMMANDS = {
    "sample": "Sample images from a model.",
    "complete": "Keep a part of images and draw the rest.",
    "generate": "Write a data set of samples, by the million.",
    "explain": "Say how a model runs and what it costs.",
    "quantize": "Round a model's weights to bf16 or int8.",
    "models": "List the bundled models.",
    "devices": "List the devices that can be used.",
    "train": "Train a model by a recipe and compile it.",
    "bench": "Time naive PyTorch sampling against genfast.",
}
EXTRAS = {
    "torch": "torch",
    "safetensors": "torch",
    "PIL": "cli",
    "rich": "cli",
    "sklearn": "data",
    "mlxtend": "data",
    "matplotlib": "viz",
    "pyarrow": "parquet",
}


class Failed(click.ClickException):
    """An expected error: one red line on stderr, exit code 1."""

    def show(self, file: Any = None) -> None:
        click.secho(f"genfast: {self.message}", fg="red", err=True)


def explanation(error: BaseException) -> str | None:
    """What to tell the user about an expected error; None for one that is a bug of genfast."""
    if isinstance(error, ModuleNotFoundError):
        root = (error.name or "").partition(".")[0]
        if root in EXTRAS:
            return f"this needs {root}: pip install 'genfast[{EXTRAS[root]}]'"
        return None if root.startswith("genfast") else str(error)
    import genfast

    expected = (genfast.Error, ValueError, TypeError, OSError, MemoryError, FloatingPointError)
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return (str(error) or type(error).__name__) if isinstance(error, expected) else None


class Commands(click.Group):
    """A group whose commands live in genfast.cli.<name>_command and are imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"genfast.cli.{cmd_name}_command").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.secho("genfast: interrupted", fg="red", err=True)
            raise click.exceptions.Exit(130) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            message = explanation(error)
            if message is None:
                raise
            raise Failed(message) from error


def version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version as installed

        click.echo(f"genfast {installed('genfast')}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=version, help="Show the version.")
def app() -> None:
    """Sample causal models fast: one uniform number decides each pixel or token.

    \b
    Examples:
      genfast sample digits -n 64 --seed 0 -o digits.png
      genfast sample alice --prompt "Alice was " --seed 1
      genfast explain digits
      genfast sample --help
    """
