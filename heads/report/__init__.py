"""The report of a finished run: one HTML page that opens from disk, and its gist in Markdown."""
