"""Layouts of the folders in which models are published.

`model_folder` reads those of transformers, `open_clip_towers` turns those of open_clip into models
of transformers or timm (`open_clip_config` refuses what it cannot, `open_clip_weights` renames
weights), and `sentence_transformers_layout` reads what follows a text encoder: pooling and Dense.
"""
