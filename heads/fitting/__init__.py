"""Fitting: from features.h5 to fitted heads with out-of-fold probabilities.

`projection` reduces embeddings to a few principal components, `head_inputs` selects the columns
that a head is given, `cross_validation` fits a head without each part in turn (`parallel_fits`),
`space_blending` combines the spaces, and `held_out_evaluation` scores the result. `fit_head` does
all of this for one head, and `saved_heads` writes and reads it.
"""
