"""The report of a finished run: one HTML page that opens from disk, and its gist in Markdown.

`build` reads the run (`finished_run`, `run_summary`), makes tables (`leaderboard`, `confusion`),
plots (`curves`, `panels`, drawn by `svg`), a `gallery` of memes and the `conclusions` (with
`paired_differences`), and fills in `templates/`. `formatting` prints numbers and names.
"""
