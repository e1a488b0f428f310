"""Spaces. A space is one set of embeddings of all rows, image and text, and what made it.

`fine_tuned` is a pair of backbones fine-tuned without one fold; `pretrained` is the backbones as
downloaded; `lexical` has character n-grams (`ngrams`) in place of the text backbone. `setup` loads
data, weights and settings, and `all_spaces` makes what is missing. Each space is embedded by
`embedding`, written by `dump_embeddings`, and saved with its `checkpoint`. `reuse` takes over
spaces that a change of settings does not affect.
"""
