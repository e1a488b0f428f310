"""Load the user's memes into memory, from the table that `extract.tables` read.

`image_decoding` decodes the pictures of a table, `pictures_on_disk` decodes them again in the size
of another tower, `read_captions` reads captions off them, `tokenisation` tokenises captions,
`token_counts` counts their tokens, `ngrams` embeds them by their characters, and `load_data`
returns what models need. `batches` cuts the rows into training batches and hands the towers their
inputs. `decided_rows` adds what reviewers decided, `fingerprint` tells whether the data changed.
"""
