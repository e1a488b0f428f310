"""From probabilities to decisions.

`calibration` corrects a head's probabilities, `threshold` tunes the threshold, `val_offset` and
`prior_shift` adapt both to a contest whose val or test rows are drawn differently from train.
"""
