"""Data loading: the user's files become a checked table of memes, with pixels and tokens in memory.

In the order in which a row passes: `layouts` finds the tables and pictures, `csv_jsonl` parses a
file, `columns` finds the id, picture, caption, label and split columns, `splits` joins the files of
each split, `text_cells` and `labels` check each value, and `read_memes` returns the `meme_table`.
Then `image_decoding` decodes the pictures, `bad_rows` stops at rows with a fault or blanks them,
`tokenisation` tokenises the captions, and `load_data` returns all of it. `batches` serves it to the
towers.
"""
