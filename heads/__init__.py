"""Stage two: interchangeable heads on cached features.

The files of this folder are the heads (`linear`, `interaction`, `mlp`, `lightgbm`, `knn`, `stack`,
`joint`), their common `base` and their `registry`. `run` is the stage from end to end: heads are
fitted on features.h5 (`fitting`), their probabilities are calibrated and thresholds tuned
(`decision`), and one `ensemble` writes solution.csv. `evaluation` holds the metrics and their
intervals. `check` looks for leaks and mistakes in a finished run, `report` draws it. `predict`
scores new memes, and `status` tells how far a run has come.
"""
