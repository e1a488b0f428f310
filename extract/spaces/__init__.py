"""Spaces. A space is one set of image and text embeddings of all rows, and the models behind it.

`fine_tuned` embeds with backbones fine-tuned without one fold, `pretrained` with the backbones as
downloaded. `lexical` replaces the text embedding by character n-grams (`ngrams`). `run_setup` loads
settings, data and weights; `all_spaces` creates the spaces that are missing. `embedding` embeds all
rows with a model, `dump_embeddings` writes the result, and `checkpoint` saves and loads the model.
`reuse_spaces` takes over the spaces of an earlier run that a change of settings does not affect.
"""
