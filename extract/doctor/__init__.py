"""Checks before a long run: what would stop or slow down `extract`. Writes and downloads nothing.

`doctor` runs all checks and prints their findings (`finding`). `checks_needing_libraries` runs
those that import torch and other libraries, in the order in which one needs another's result. Each
`check_*` file has the checks of one subject.
"""
