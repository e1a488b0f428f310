"""Settings of a stage: a frozen dataclass, from which flags, checks and config.json derive."""

import dataclasses
import difflib
from typing import Any, TypeVar

from runtime.errors import UserError

Settings = TypeVar("Settings")


def setting(
    default: Any,  # noqa: ANN401 - the field's own annotation types it
    help: str,
    group: str,
    choices: tuple[str, ...] | None = None,
    minimum: float | None = None,
) -> Any:  # noqa: ANN401
    """Declare a dataclass field that is also a flag.

    `help` says what it does and its unit, `group` is the panel of --help that shows it, `choices`
    and `minimum` (inclusive) are checked by `check`.
    """
    metadata = {"help": help, "group": group, "choices": choices, "minimum": minimum}
    return dataclasses.field(default=default, metadata=metadata)


def flag(name: str) -> str:
    """The command-line spelling of a field: `batch_size` -> `--batch-size`."""
    return "--" + name.replace("_", "-")


def check(settings: object) -> None:
    """Raise UserError that names every value outside its field's choices or below its minimum."""
    faults = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        choices, minimum = field.metadata["choices"], field.metadata["minimum"]
        if choices and value is not None and value not in choices:
            faults.append(f'{flag(field.name)}: found "{value}", allowed: {", ".join(choices)}')
        # "not >=" rather than "<", so that NaN is refused too.
        if minimum is not None and value is not None and not value >= minimum:
            faults.append(f"{flag(field.name)}: found {value}, allowed: {minimum} or more")
    if faults:
        raise UserError("\n".join(faults))


def to_dict(settings: object) -> dict[str, Any]:
    """All fields as JSON-ready values."""
    return dataclasses.asdict(settings)


def from_dict(kind: type[Settings], values: dict[str, Any]) -> Settings:
    """Build settings from `values`; an unknown key fails with the nearest known one."""
    known = {field.name for field in dataclasses.fields(kind)}
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f' Did you mean "{near[0]}"?' if near else ""
            raise UserError(f'{kind.__name__}: unknown setting "{key}".{hint}')
    try:
        return kind(**values)
    except TypeError as error:
        raise UserError(f"{kind.__name__}: {error}. Run again the command that wrote it") from error
