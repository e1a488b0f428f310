"""From probabilities to decisions.

`calibration` calibrates a head's probabilities, and `threshold` tunes the threshold. `val_offset`
and `prior_shift` adapt both to contests whose val or test rows are distributed differently from
train.

`targets` parses what decisions have to meet, such as a precision. `operating_points` chooses a
threshold for each target, with a `guaranteed_threshold` where there can be one. `review_band`
divides memes between two of these thresholds; `terminal_operating_points` prints all of this.
"""
