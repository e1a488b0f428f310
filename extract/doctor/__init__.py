"""Checks before a long run: what would stop or slow `extract`. Nothing here writes or downloads.

`doctor` runs everything and prints it; `examine` holds the checks that need the libraries, in the
order in which one feeds the next. Each `check_*` file returns findings (`finding`).
"""
