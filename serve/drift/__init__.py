"""Does a batch of new memes differ from the memes that a run was evaluated on?

`meme_quantities` measures four quantities of each meme. `held_out_memes` writes those of held-out
memes, `drift_reference` reads them, `meme_sample` keeps those of a batch in bounded memory, and
`drift_tests` compares both. `batch_drift` does all of this for a table, `recent_memes` for the
service.
"""
