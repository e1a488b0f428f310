"""From probabilities to decisions.

`calibration` calibrates a head's probabilities, and `threshold` tunes the threshold. `val_offset`
and `prior_shift` adapt both to contests whose val or test rows are distributed differently from
train.
"""
