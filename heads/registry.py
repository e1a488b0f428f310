"""Stage two: interchangeable heads on cached features. A new one is a file and a line in HEADS.

A head is a scikit-learn classifier `Head(image_width, seed, **parameters)` with `fit(X, y)`,
`predict_proba(X)`, `save(folder)` and the class method `load(folder)`. X is float32 (N, columns):
image columns, then text columns; `image_width` says how many are the image's. `GRID` lists the
parameters to choose among, most cautious first.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Entry:
    """Where a head's class is, and which columns it is given."""

    path: str
    """module:class, imported when first used: a head that needs torch costs nothing unused."""
    view: str = "both"
    """`both`, `image`, `text`; `joint`: the logit of the stage-one fusion head; or `logits`: what
    the heads in `parents` say in each kind of space."""

    fitted_on: tuple[str, ...] = ("seen", "unseen", "all")
    """Rows to try fitting on, by what they are to the backbones; fewer for heads slow to fit. In a
    space that saw no row, it is `unseen`."""

    grid: tuple[dict[str, Any], ...] | None = None
    """Parameters to choose among, in place of the class's GRID."""

    parents: tuple[str, ...] = ()

    def load(self) -> type[Any]:
        """Import the class."""
        module, name = self.path.split(":")
        return getattr(import_module(module), name)


STAGE_ONE = {"joint": Entry("heads.joint:JointHead", "joint", ("seen",))}
"""Always there, and always offered to the ensemble: the fusion head that stage one trained."""

HEADS = {
    "linear": Entry("heads.linear:LinearHead"),
    "interaction": Entry("heads.interaction:InteractionHead", fitted_on=("seen", "all")),
    "mlp": Entry("heads.mlp:MlpHead", fitted_on=("seen",)),
    "lightgbm": Entry("heads.lightgbm:LightgbmHead", fitted_on=("seen",)),
    "knn": Entry("heads.knn:KnnHead", fitted_on=("seen", "all")),
    "stack": Entry("heads.stack:StackHead", "logits", ("unseen",), parents=("joint", "linear")),
}
"""The heads that --heads chooses from; one that stacks others comes after them."""

ONE_MODALITY = tuple({"C": c} for c in (0.03, 0.2, 1.5))

REFERENCES = {
    "image only": Entry("heads.linear:LinearHead", "image", grid=ONE_MODALITY),
    "text only": Entry("heads.linear:LinearHead", "text", grid=ONE_MODALITY),
}
"""Always there, never in the ensemble: what each modality says alone."""

ENTRIES = STAGE_ONE | HEADS | REFERENCES
