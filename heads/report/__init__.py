"""The report of a finished run: report.html, which needs no other file, and report.md.

`build` reads the run (`finished_run`, `run_summary`), makes tables (`leaderboard`, `confusion`),
plots (`roc_reliability_curves`, `comparison_plots`, drawn by `svg`), a `gallery` of memes and the
`conclusions` (with `paired_differences`), and renders `templates/`. `model_card` is in the format
of the hub. `formatting` formats numbers and names.
"""
