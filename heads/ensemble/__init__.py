"""Ensemble: the probabilities of several heads become one, and then solution.csv.

`combining` has the ways to combine (mean, rank, vote, greedy), `ensemble_selection` chooses
weights, `ensemble` fits and calibrates each way, `members` measures what each head contributes, and
`build_ensemble` puts it together. `saved_ensemble` writes and reads it, `submission` writes
solution.csv.
"""
