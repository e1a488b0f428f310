"""Parse one file into rows of text: `read_table` chooses between `csv_tables`, `json_tables` and
Parquet, and returns a `parsed_table`."""
