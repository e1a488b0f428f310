"""Stage two: interchangeable heads on cached features.

The files of this folder are the heads (`linear`, `interaction`, `mlp`, `align`, `lightgbm`, `knn`,
`svm`, `stack`, `joint`), their common `base` and their `registry`; `networks` trains those that are
small networks. `run` is the stage from end to end, with the settings of `config`: it fits heads on
features.h5 (`fitting`), calibrates their probabilities, tunes thresholds (`decision`), builds one
`ensemble` and writes solution.csv. `evaluation` holds the metrics and their confidence intervals.
`check` looks for leaks and mistakes in a finished run, and `report` draws it. `predict` scores new
memes, and `status` shows how far a run has come.
"""
