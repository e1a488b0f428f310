"""Ensemble: combine the probabilities of several heads, and write solution.csv.

`combining` has the kinds of ensembles (greedy, mean, rank, vote), and `ensemble_selection` computes
the members' weights. `ensemble` fits, calibrates and selects a kind, `member_contributions`
measures what each head contributes, `without_fine_tuning` leaves out the fine-tuned spaces, and
`build_ensemble` puts it together. `saved_ensemble` saves and loads it, `submission` writes
solution.csv, `doubtful_labels` makes label_issues.csv. `run_memes` reads the memes that these and
the report show, `explained_memes` what is said of single ones.
"""
