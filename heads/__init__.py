"""Stage two: interchangeable heads on cached features. A new one is a file and a line in HEADS.

A head is a scikit-learn classifier `Head(image_width, seed, **parameters)` with `fit(X, y)`,
`predict_proba(X)`, `save(folder)` and the class method `load(folder)`. X is float32 (N, columns):
image columns, then text columns; `image_width` says how many are the image's. `GRID` lists the
parameters to choose among, most cautious first. A head with `stops_early` is fitted with
`fit(X, y, eval_set=(X, y))`, on rows that it is not fitted on.
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
    """`both`, `image`, `text`, or `joint`: the logit of the stage-one fusion head."""

    fitted_on: tuple[str, ...] = ("unseen", "all")
    """Rows to try fitting on: `unseen` by the backbones, or `all`; `none` if nothing is fitted."""

    grid: tuple[dict[str, Any], ...] | None = None
    """Parameters to choose among, in place of the class's GRID."""

    def load(self) -> type[Any]:
        """Import the class."""
        module, name = self.path.split(":")
        return getattr(import_module(module), name)


HEADS = {
    "linear": Entry("heads.linear:LinearHead"),
    "mlp": Entry("heads.mlp:MlpHead"),
    "lightgbm": Entry("heads.boosting:LightgbmHead"),
}
"""The heads that --heads chooses from."""

STAGE_ONE = {"joint": Entry("heads.joint:JointHead", "joint", ("none",))}
"""Always there, and always a member of the ensemble: the fusion head that stage one trained."""

_STRENGTHS = tuple({"C": c} for c in (1e-4, 1e-3, 1e-2))
REFERENCES = {
    "image only": Entry("heads.linear:LinearHead", "image", grid=_STRENGTHS),
    "text only": Entry("heads.linear:LinearHead", "text", grid=_STRENGTHS),
}
"""Always there, never in the ensemble: what each modality says alone."""

ENTRIES = HEADS | STAGE_ONE | REFERENCES
