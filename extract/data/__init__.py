"""Load the user's memes into memory, from the table that `extract.tables` read.

`image_decoding` decodes the pictures, `tokenisation` tokenises the captions, and `load_data`
returns both. `batches` cuts the rows into training batches and hands the towers their inputs.
"""
