"""Errors in single rows of the user's data, and their summary by cause."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

LISTED = 3
"""Problems of one cause that are listed in full. More are counted, with LISTED examples."""

MAX_CAUSES = 5
"""Causes that are described."""


@dataclass(frozen=True)
class Problem:
    """An error in the user's data: where it is and what is wrong."""

    file: str
    line: int
    message: str
    row: int | None = None
    """Row index in the table, if the error can be blanked."""
    field: str | None = None
    """`image` or `caption` if the error can be blanked, `label` if the row can be left out, else
    None."""
    advice: str = ""
    """What to do about all errors of this cause."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"

    @property
    def cause(self) -> str:
        """The message without the values that differ from row to row and from file to file."""
        return re.sub(r'"[^"]*"|column [^:]*:|\S+:\d+|\S*/\S*|\d+', "_", self.message)


def summarise(problems: list[Problem]) -> Iterator[str]:
    """Yield one line per problem, or, if more than LISTED have one cause, a count and examples.

    After the first MAX_CAUSES causes, the others are counted.
    """
    causes: dict[str, list[Problem]] = {}
    for problem in problems:
        causes.setdefault(problem.cause, []).append(problem)
    for same in [*causes.values()][:MAX_CAUSES]:
        if len(same) > LISTED:
            files = Counter(problem.file for problem in same)
            counts = f" ({', '.join(map(str, files.values()))})" if len(files) > 1 else ""
            yield f"{', '.join(files)}: {len(same)} rows have the same fault{counts}, for example:"
            first = {problem.file: problem for problem in reversed(same)}.values()
            examples = sorted(same, key=lambda problem: problem not in first)[:LISTED]
            yield from (f"  {problem}" for problem in examples)
        else:
            yield from map(str, same)
    if others := [*causes.values()][MAX_CAUSES:]:
        yield f"and {sum(map(len, others))} rows with {len(others)} other faults"
