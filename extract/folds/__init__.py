"""Near-duplicates and folds.

`near_duplicates` finds groups of memes with nearly the same picture or caption, `fold_assignment`
assigns cross-validation folds that never split a group, and `data_summary` counts rows, classes and
near-duplicates for data.json and the report.
"""
