"""Registry of the kinds of spaces. To add a kind, add a file with a SpaceKind and a line here."""

from extract.config import ExtractConfig
from extract.spaces.fine_tuned import FINE_TUNED_KIND
from extract.spaces.frozen import FROZEN_KIND
from extract.spaces.lexical import LEXICAL_KIND
from extract.spaces.pretrained import PRETRAINED_KIND
from extract.spaces.space_kind import SpaceKind
from runtime.errors import UserError

KINDS = (FINE_TUNED_KIND, PRETRAINED_KIND, LEXICAL_KIND, FROZEN_KIND)
"""In the order of features.h5. A space may use those of the kinds before it."""


def kind_of(name: str) -> SpaceKind:
    """Return the kind of a space. Raises UserError for a name that no kind has."""
    for kind in KINDS:
        if kind.owns(name):
            return kind
    raise UserError(f"{name} is no space of this version of memefuse.")


def in_order(names: list[str]) -> list[str]:
    """Sort names of spaces as in features.h5."""
    return sorted(names, key=lambda name: (KINDS.index(kind_of(name)), len(name), name))


def space_names(config: ExtractConfig, only_folds: str | None = None) -> list[str]:
    """Return the names of a run's spaces: fine-tuned ones first, then those without labels.

    With `only_folds`, numbers separated by commas, only these folds' spaces; those without labels
    go with fold 0. Raises UserError for a number that is not a fold.
    """
    tuned, *others = (in_order(kind.names(config)) for kind in KINDS)
    label_free = [name for names in others for name in names]
    if only_folds is None:
        return [*tuned, *label_free]
    if not config.folds:
        raise UserError("--only-folds: with --folds 0 there are none. Leave this flag out.")
    try:
        folds = sorted({int(fold) for fold in only_folds.split(",")})
    except ValueError:
        folds = [-1]
    if folds[0] < 0 or folds[-1] >= config.folds:
        raise UserError(
            f'--only-folds: found "{only_folds}", allowed: numbers from 0 to '
            f"{config.folds - 1}, separated by commas (--folds is {config.folds})"
        )
    return [tuned[fold] for fold in folds] + (label_free if 0 in folds else [])
