"""Stage two: interchangeable heads on cached features.

The files of this folder are the heads (`linear`, `interaction`, `mlp`, `lightgbm`, `knn`, `stack`,
`joint`), their common `base` and their `registry`. `run` is the stage from end to end: it fits
heads on features.h5 (`fitting`), calibrates their probabilities, tunes thresholds (`decision`),
builds one `ensemble` and writes solution.csv. `evaluation` holds the metrics and their confidence
intervals. `check` looks for leaks and mistakes in a finished run, and `report` draws it. `predict`
scores new memes, and `status` shows how far a run has come.
"""
