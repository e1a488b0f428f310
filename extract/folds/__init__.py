"""Near-duplicates and folds.

`near_duplicates` groups memes with nearly the same picture or caption. `near_pictures` and
`near_captions` find these, and `bucket_links` compares what shares a bucket for them.
`fold_assignment` assigns cross-validation folds that never split a group, `random_split` divides
rows without splits (`--split`), and `data_summary` counts rows, classes and near-duplicates for
data.json and the report.
"""
