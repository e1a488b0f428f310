"""Spaces. A space is one set of image and text embeddings of all rows, and the models behind it.

Kinds of spaces (`space_kind`) are listed in `space_registry`: `fine_tuned` embeds with backbones
fine-tuned without one fold, `pretrained` with the backbones as downloaded, `frozen` with further
models as published, and `lexical` replaces the text embedding by character n-grams. `run_setup`
loads settings, data and weights; `all_spaces` creates the spaces that are missing.
`dump_embeddings` writes the embeddings, `model_files` the models and `checkpoint` their settings.
`reuse_spaces` takes over the spaces of an earlier run that a change of settings does not affect.
`ray_embedding` embeds on many machines.
"""
