"""Fitting: from features.h5 to fitted heads with out-of-fold probabilities.

`pca_projection` reduces embeddings to principal components, `head_inputs` selects a head's input
columns, `cross_validation` fits a head without each part in turn and selects one of its candidates,
whose fits `candidate_fits` lists and `parallel_fits` runs in threads. `space_blending` combines the
kinds of spaces, and `held_out_evaluation` tunes the threshold and scores the result. `fit_head`
does all of this for one head, and `saved_heads` writes and reads it.
"""
