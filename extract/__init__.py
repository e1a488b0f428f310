"""Stage one: fine-tune two backbones on a table of memes and write their pooled embeddings.

`run` is the stage from end to end. It reads the memes (`data`; the built-in sample comes from
`sample`), groups near-duplicates and assigns folds (`folds`), loads the two backbones (`towers`),
fine-tunes them (`training`), and writes each set of embeddings (`spaces`) to features.h5.
`merge_folds` joins folds from several machines, `predict` embeds new memes, `status` shows which
steps of a run are done, and `doctor` finds problems before a long run starts.
"""
