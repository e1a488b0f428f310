"""Command-line flags, derived from the settings classes of the stages."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any

import typer

from runtime.config_fields import flag

RunName = Annotated[
    str, typer.Option(help="Name of the run; its folder is runs/NAME.", rich_help_panel="Run")
]

Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Write features.h5 again even if the run has one.", rich_help_panel="Run"
    ),
]


OnlyFolds = Annotated[
    str | None,
    typer.Option(
        help="Process only these folds, such as 0,2, on this machine; merge joins them.",
        rich_help_panel="Run",
    ),
]

Explain = Annotated[
    bool,
    typer.Option(
        "--explain",
        help="First explain the memes of its gallery, which takes minutes on a CPU.",
        rich_help_panel="Run",
    ),
]


def with_settings(*kinds: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one flag per field of the settings classes `kinds`.

    The command is called with one instance of each class, then its remaining parameters.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapper(**values: Any) -> None:  # noqa: ANN401
            settings = [
                kind(**{f.name: values.pop(f.name) for f in dataclasses.fields(kind)})
                for kind in kinds
            ]
            command(*settings, **values)

        remaining = list(inspect.signature(command).parameters.values())[len(kinds) :]
        parameters = [_parameter(f) for kind in kinds for f in dataclasses.fields(kind)] + remaining
        wrapper.__signature__ = inspect.Signature(parameters)
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        return wrapper

    return decorate


def _parameter(field: dataclasses.Field) -> inspect.Parameter:
    option = typer.Option(
        flag(field.name),
        help=field.metadata["help"],
        rich_help_panel=field.metadata["group"],
        show_default=field.default is not None,
    )
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=field.default,
        annotation=Annotated[field.type, option],
    )


def named_run(arguments: list[str]) -> str:
    """Return the value of --run among the words of a command line; "default" without one."""
    named = [value for flag, value in pairwise(arguments) if flag == "--run"]
    named += [word.removeprefix("--run=") for word in arguments if word.startswith("--run=")]
    return named[0] if named else "default"
