"""Data loading: read and check the user's memes, decode the pictures, tokenise the captions.

In order of use: `layouts` finds the tables and pictures, `csv_jsonl` parses a file, `columns` finds
the id, picture, caption, label and split columns, `splits` joins the files of each split,
`text_cells` and `labels` validate each value, and `read_memes` returns a `meme_table`. Then
`image_decoding` decodes the pictures, `bad_rows` stops at invalid rows or blanks them,
`tokenisation` tokenises the captions, and `load_data` returns all of it. `batches` cuts the rows
into training batches and hands the towers their inputs.
"""
