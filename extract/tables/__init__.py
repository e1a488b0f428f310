"""Read the user's tables into one checked `meme_table`.

In order of use: `table_options` holds what flags say, `layouts` finds the tables, `read_table`
parses a file (`csv_tables`, `json_tables`, Parquet) into a `parsed_table`, `columns` finds the id,
picture, caption, label and split columns, `splits` joins the rows of all tables, `files` finds
their pictures, `text_cells` and `labels` validate each value and `label_checks` all labels
together, `read_memes` returns it all, and `sample_submission` says which ids to predict. `bad_rows`
stops at invalid rows or blanks them.
"""
