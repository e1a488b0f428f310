"""What the ensemble says of single memes and their parts: explanations.json, for the report."""

from dataclasses import asdict, dataclass
from pathlib import Path

from heads.ensemble.saved_ensemble import ensemble_checksum
from runtime.errors import user_error_if_damaged
from runtime.files.json_files import read_json, write_json

FILE = "explanations.json"

WORDS = 4
"""Words that are listed, those with the largest contributions."""


@dataclass(frozen=True)
class Explained:
    """What the finished model says of a meme and of its parts."""

    probability: float
    picture_alone: float | None
    """Probability without the caption; None if the meme has no picture or no caption."""
    caption_alone: float | None
    words: list[tuple[str, float]]
    """What removing each word, or group of words, takes from the probability."""
    picture: dict[str, float]
    """The same of each part of the picture, by `row,column` from 0 at the top left."""

    def main_words(self) -> list[tuple[str, float]]:
        """Return the words with the largest contributions, the largest first."""
        return sorted(self.words, key=lambda word: -abs(word[1]))[:WORDS]

    def grid(self) -> list[list[float]]:
        """Return the contributions of the picture's parts, row by row; empty without a picture."""
        side = int(len(self.picture) ** 0.5)
        return [[self.picture[f"{row},{column}"] for column in range(side)] for row in range(side)]


def write_explanations(run: Path, by_row: dict[int, Explained]) -> Path:
    """Write the explanations by row of the feature table; return the path."""
    memes = {str(row): asdict(explained) for row, explained in by_row.items()}
    return write_json(run / FILE, {"ensemble": ensemble_checksum(run), "memes": memes})


def read_explanations(run: Path) -> dict[int, Explained] | None:
    """Read the explanations by row; None without any by the ensemble that the run has now.

    Raises UserError if the file is damaged.
    """
    path = run / FILE
    if not path.is_file():
        return None
    with user_error_if_damaged(path, "Run: python pipeline.py report --explain"):
        content = read_json(path, "report --explain")
        if content["ensemble"] != ensemble_checksum(run):
            return None
        return {int(row): Explained(**found) for row, found in content["memes"].items()}
