"""Settings of stage two: `fit-heads` and `submit`. Command-line flags derive from these classes."""

from dataclasses import dataclass
from pathlib import Path

from heads.decision.targets import Target, parse_targets
from heads.ensemble.combining import BEST, ENSEMBLES
from heads.evaluation.metrics import METRICS
from heads.registry import HEADS
from runtime.config_fields import setting, validate
from runtime.errors import UserError

PROGRESS_FILE = "begun.json"
"""In the heads folder while heads are being fitted: which were requested and which are done."""

SOLUTION_FILE = "solution.json"
"""In the run folder: path and SHA-256 of the solution, and the stamp of its features."""

GROUP = "Heads"

SUBMISSION = "Submission"

SUBMITTED = "submit"
"""Prior of new memes: that of `submit`, which is its --prior, or else that of the val rows."""

TRAINED = "train"
"""Prior of new memes: that of the rows that the heads were fitted on. Nothing is moved."""


@dataclass(frozen=True)
class FitConfig:
    """Settings of `fit-heads`. Raises UserError for a value that is not allowed."""

    heads: str = setting(",".join(HEADS), "Heads to fit, separated by commas.", GROUP)
    metric: str = setting(
        "accuracy",
        f"Metric that thresholds are tuned for: {', '.join(METRICS)}.",
        GROUP,
        choices=tuple(METRICS),
    )

    def __post_init__(self) -> None:
        validate(self)
        unknown = [name for name in self.names() if name not in HEADS]
        if unknown or not self.names():
            raise UserError(
                f'--heads: found "{self.heads}", allowed: {", ".join(HEADS)}, separated by commas'
            )

    def names(self) -> list[str]:
        """Names of the requested heads, without repetitions."""
        return list(dict.fromkeys(n.strip() for n in self.heads.split(",") if n.strip()))


@dataclass(frozen=True)
class SubmitConfig:
    """Settings of `submit`. Raises UserError for a value that is not allowed."""

    ensemble: str = setting(
        BEST,
        "greedy (weights by forward selection), mean (of probabilities), rank (mean of ranks among "
        "the held-out rows), vote, or best: the one with the lowest log loss on held-out rows.",
        SUBMISSION,
        choices=(BEST, *ENSEMBLES),
    )
    prior: float | None = setting(
        None,
        "Share of positives in the contest's test set, if it differs from train's. Adjusts "
        "probabilities and threshold.",
        SUBMISSION,
        minimum=0.0,
    )
    proba: bool = setting(
        False, "Write probabilities instead of labels into the label column.", SUBMISSION
    )
    target: list[str] | None = setting(
        None,
        "Find the threshold that meets it, and say what is guaranteed; may be repeated. "
        "precision>=0.9, recall>=0.95, fpr<=0.01, or cost=FP:FN, the costs of both errors. With a "
        "precision or fpr and a recall: also what is left for review. The labels of the "
        "submission stay as they are.",
        SUBMISSION,
    )
    out: str = setting("solution.csv", "File to write the submission to.", SUBMISSION)

    def __post_init__(self) -> None:
        validate(self)
        if self.prior is not None and not 0 < self.prior < 1:
            raise UserError(f"--prior: found {self.prior}, allowed: between 0 and 1")
        if Path(self.out).is_dir():
            raise UserError(f"--out: {self.out} is a folder, allowed: a file")
        self.targets()

    def targets(self) -> list[Target]:
        """The requested targets. Raises UserError for one that cannot be parsed."""
        return parse_targets(self.target)
