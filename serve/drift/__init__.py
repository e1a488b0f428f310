"""Does a batch of new memes differ from the memes that a run was evaluated on?

`meme_quantities` measures four quantities of each meme, `drift_reference` keeps those of the
held-out memes, `meme_sample` those of a batch in bounded memory, and `drift_tests` compares them.
`batch_drift` does all of this for a table, `recent_memes` for the service.
"""
