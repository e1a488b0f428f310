"""Fewer candidates, parts and resamples, and no plots, for tests that do not depend on them."""

from importlib import import_module

from markupsafe import Markup

from heads.decision.calibration import CALIBRATIONS

QUICK = {
    "heads.evaluation.bootstrap:RESAMPLES": 40,
    "heads.evaluation.out_of_fold:MANY_PARTS": 5,
    # Half of the time of stage two is that of calibration.
    "heads.decision.calibration:CALIBRATIONS": {k: CALIBRATIONS[k] for k in ("none", "sigmoid")},
    "heads.fitting.space_blending:MEAN_CALIBRATIONS": ("none",),
    "heads.linear:LinearHead.GRID": [{"C": 0.3}, {"C": 3.0}],
    "heads.interaction:InteractionHead.GRID": [{"C": 3.0, "product_scale": 3.0}],
    "heads.lightgbm:LightgbmHead.GRID": [{"rounds": 40}],
    "heads.knn:KnnHead.GRID": [{"k": 16}],
    "heads.stack:StackHead.GRID": [{"C": 0.1}],
}
"""Attributes that are overridden, and their values."""


def apply_quick_settings(set_attribute=setattr):
    """Override the attributes of QUICK with `set_attribute(owner, name, value)`."""
    for path, value in QUICK.items():
        module, attribute = path.split(":")
        owner = import_module(module)
        *parents, name = attribute.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        set_attribute(owner, name, value)


def skip_plots(set_attribute=setattr):
    """Put an empty picture in the place of each plot of the report."""
    canvas = import_module("heads.report.svg").Canvas
    set_attribute(canvas, "svg", lambda *_: Markup("<svg></svg>"))
