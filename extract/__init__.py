"""Stage one: a table of memes becomes pooled embeddings of two jointly fine-tuned backbones.

`run` is the stage from end to end. It reads the memes (`data`; the built-in ones come from
`sample`), groups near-duplicates and assigns folds (`duplicates`), loads the two backbones
(`towers`), fine-tunes them (`training`), and writes each set of embeddings (`spaces`) to
features.h5. `merge_folds` joins folds from several machines, `predict` embeds new memes, `status`
tells how far a run has come, and `doctor` finds problems before a long run starts.
"""
