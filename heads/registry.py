"""Registry of heads. To add a head, add a file and a line in HEADS.

A head is a scikit-learn classifier `Head(image_width, seed, **parameters)` with `fit(X, y)`,
`predict_proba(X)`, `save(folder)` and the class method `load(folder)`. X is float32 (N, columns):
first `image_width` image columns, then text columns. `GRID` lists the hyperparameters to select
from, most conservative first, as ties go to the first.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

REFIT = "Delete the head's folder and run: python pipeline.py fit-heads"
"""Remedy in the error message for a damaged saved head."""


@dataclass(frozen=True)
class Entry:
    """A head's class, its input columns and the rows it is fitted on."""

    path: str
    """module:class. Imported on first use, so that torch is loaded only for heads that need it."""
    view: str = "both"
    """`both`, `image`, `text`; `joint`: the logit of the fusion head of stage one; `label-free`:
    the joined columns of all spaces that use no labels; or `logits`: the logits of the heads in
    `parents` in each kind of space. A head whose columns a run lacks is not fitted."""

    fitted_on: tuple[str, ...] = ("seen", "unseen", "all")
    """Sets of rows to try fitting on: rows that the backbones were fitted on (`seen`), other rows,
    or both. Slow heads try fewer. In a space whose backbones saw no row, it is always `unseen`."""

    grid: tuple[dict[str, Any], ...] | None = None
    """Hyperparameters to select from, in place of the class's GRID."""

    parents: tuple[str, ...] = ()
    """Names of the heads that this head stacks."""

    def load(self) -> type[Any]:
        """Import the class."""
        module, name = self.path.split(":")
        return getattr(import_module(module), name)


STAGE_ONE = {"joint": Entry("heads.joint:JointHead", "joint", ("seen",))}
"""The fusion head that stage one trained. Always fitted, always offered to the ensemble."""

HEADS = {
    "linear": Entry("heads.linear:LinearHead"),
    "interaction": Entry("heads.interaction:InteractionHead", fitted_on=("seen", "all")),
    "mlp": Entry("heads.mlp:MlpHead", fitted_on=("seen",)),
    "align": Entry("heads.align:AlignHead", fitted_on=("seen",)),
    "lightgbm": Entry("heads.lightgbm:LightgbmHead", fitted_on=("seen",)),
    "knn": Entry("heads.knn:KnnHead", fitted_on=("seen", "all")),
    "svm": Entry("heads.svm:SvmHead", "label-free", ("unseen",)),
    "stack": Entry("heads.stack:StackHead", "logits", ("unseen",), parents=("joint", "linear")),
}
"""The heads that --heads selects from. A head that stacks others comes after them."""

ONE_MODALITY = tuple({"C": c} for c in (0.03, 0.2, 1.5))

REFERENCES = {
    "image only": Entry("heads.linear:LinearHead", "image", grid=ONE_MODALITY),
    "text only": Entry("heads.linear:LinearHead", "text", grid=ONE_MODALITY),
}
"""Baselines on one modality. Always fitted, never in the ensemble."""

ENTRIES = STAGE_ONE | HEADS | REFERENCES
