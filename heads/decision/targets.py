"""`submit --target`: what the decisions on new memes have to meet, and how it is written."""

import re
from dataclasses import dataclass

from runtime.errors import UserError, quoted

PRECISION, RECALL, FPR = "precision", "recall", "fpr"

ALLOWED = (
    "precision>=RATE, recall>=RATE or fpr<=RATE, with RATE between 0 and 1, or cost=FP:FN, two "
    'positive numbers. A shell needs quotes around it: --target "precision>=0.9"'
)

_NUMBER = r"(\d+\.?\d*|\.\d+)"
_RATE = re.compile(rf"(?:({PRECISION}|{RECALL})>=|({FPR})<=){_NUMBER}")
_COST = re.compile(rf"cost={_NUMBER}:{_NUMBER}")


@dataclass(frozen=True)
class RateTarget:
    """A bound on a rate: at least so much precision or recall, or at most such an fpr."""

    flag: str
    rate: str
    """PRECISION, RECALL or FPR (false-positive rate)."""
    bound: float

    @property
    def tolerated(self) -> float:
        """The largest share of errors: of flagged, of hateful or of harmless memes."""
        return self.bound if self.rate == FPR else 1 - self.bound


@dataclass(frozen=True)
class CostTarget:
    """The costs of both errors, in any unit; their mean is to be as low as possible."""

    flag: str
    false_positive: float
    false_negative: float


Target = RateTarget | CostTarget


def parse_targets(flags: list[str] | None) -> list[Target]:
    """Parse the values of `--target`, without repetitions. Raises UserError for other syntax."""
    return [_parse(flag) for flag in dict.fromkeys("".join(f.split()) for f in flags or ())]


def _parse(flag: str) -> Target:
    if (found := _RATE.fullmatch(flag)) and 0 < float(found[3]) < 1:
        return RateTarget(flag, found[1] or found[2], float(found[3]))
    if (found := _COST.fullmatch(flag)) and min(float(found[1]), float(found[2])) > 0:
        return CostTarget(flag, float(found[1]), float(found[2]))
    raise UserError(f"--target: found {quoted(flag)}, allowed: {ALLOWED}.")
