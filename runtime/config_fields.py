"""Settings of a stage: a frozen dataclass that defines flags, validation and config.json."""

import dataclasses
import difflib
from typing import Any, TypeVar

from runtime.errors import UserError

Settings = TypeVar("Settings")


def setting(
    default: Any,  # noqa: ANN401 - the type is the field's annotation
    help: str,
    group: str,
    choices: tuple[str, ...] | None = None,
    minimum: float | None = None,
) -> Any:  # noqa: ANN401
    """Declare a dataclass field that is also a flag.

    `help` says what it does and its unit, `group` is its panel in --help, `choices` and `minimum`
    (inclusive) are enforced by `validate`.
    """
    metadata = {"help": help, "group": group, "choices": choices, "minimum": minimum}
    return dataclasses.field(default=default, metadata=metadata)


def flag(name: str) -> str:
    """Return the command-line flag of a field: `--batch-size` for `batch_size`."""
    return "--" + name.replace("_", "-")


def validate(settings: object) -> None:
    """Raise UserError that lists every value outside its field's choices or below its minimum."""
    faults = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        choices, minimum = field.metadata["choices"], field.metadata["minimum"]
        if choices and value is not None and value not in choices:
            faults.append(f'{flag(field.name)}: found "{value}", allowed: {", ".join(choices)}')
        # "not >=" instead of "<" also refuses NaN.
        if minimum is not None and value is not None and not value >= minimum:
            faults.append(f"{flag(field.name)}: found {value}, allowed: {minimum} or more")
    if faults:
        raise UserError("\n".join(faults))


def to_dict(settings: object) -> dict[str, Any]:
    """Return all fields as JSON-ready values."""
    return dataclasses.asdict(settings)


def from_dict(kind: type[Settings], values: dict[str, Any]) -> Settings:
    """Build the dataclass `kind` from `values`.

    Raises UserError for a missing key, or for an unknown key with the closest known one.
    """
    known = {field.name for field in dataclasses.fields(kind)}
    for key in values:
        if key not in known:
            closest = difflib.get_close_matches(key, known, n=1)
            hint = f' Did you mean "{closest[0]}"?' if closest else ""
            raise UserError(f'{kind.__name__}: unknown setting "{key}".{hint}')
    try:
        return kind(**values)
    except TypeError as error:
        raise UserError(f"{kind.__name__}: {error}. Run the command that wrote it again") from error
