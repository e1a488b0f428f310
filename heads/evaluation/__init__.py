"""Metrics and how sure they are.

`metrics` has AUROC, average precision, accuracy, F1, balanced accuracy and log loss; `bootstrap`
has intervals that resample groups of near-duplicates; `scores` puts both together. `out_of_fold`
makes choices without the rows that are scored. `results_table` prints the table of heads.
"""
