"""Flags of a command, derived from the settings classes of its stages."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from runtime.settings import flag

RunName = Annotated[
    str, typer.Option(help="Name of the run, whose folder is runs/NAME.", rich_help_panel="Run")
]

Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Make features.h5 anew even if the run has one.", rich_help_panel="Run"
    ),
]


def with_settings(*kinds: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one flag for each field of the settings classes, and it the settings."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def parsed(**values: Any) -> None:  # noqa: ANN401
            settings = [
                kind(**{f.name: values.pop(f.name) for f in dataclasses.fields(kind)})
                for kind in kinds
            ]
            command(*settings, **values)

        own = list(inspect.signature(command).parameters.values())[len(kinds) :]
        parameters = [_parameter(f) for kind in kinds for f in dataclasses.fields(kind)] + own
        parsed.__signature__ = inspect.Signature(parameters)
        parsed.__annotations__ = {p.name: p.annotation for p in parameters}
        return parsed

    return decorate


def _parameter(field: dataclasses.Field) -> inspect.Parameter:
    about = field.metadata
    option = typer.Option(
        flag(field.name),
        help=about["help"],
        rich_help_panel=about["group"],
        show_default=field.default is not None,
    )
    return inspect.Parameter(
        field.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=field.default,
        annotation=Annotated[field.type, option],
    )
