"""Metrics and their confidence intervals.

`metrics` has AUROC, average precision, accuracy, F1, balanced accuracy and log loss. `bootstrap`
computes intervals by resampling groups of near-duplicates. `score_summary` computes all metrics
with their intervals, and the calibration error. `out_of_fold` fits and selects without the rows
that are then scored. `ratio_intervals` has rates of decisions, such as recall, with intervals.
`slices` compares slices of the memes, `label_issues` finds labels that are probably wrong.
`terminal_results_table` prints the table of heads.
"""
