"""Stage one: fine-tune two backbones on a table of memes and write their pooled embeddings.

`run` is the stage from end to end. It reads the tables (`tables`; the built-in sample comes from
`sample`) and their memes (`data`), groups near-duplicates and assigns folds (`folds`), loads the
two backbones (`towers`), fine-tunes them (`training`), and writes each set of embeddings (`spaces`)
to features.h5. `config` has its settings, `frozen_sources` what `--frozen` names. `merge_folds`
joins folds from several machines, `new_memes` reads memes to score and `predict` embeds them,
`status` shows which steps of a run are done, and `doctor` finds problems before a long run starts.
"""
