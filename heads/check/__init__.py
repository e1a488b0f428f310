"""Checks of a finished run: label leaks, unused modalities, faulty submissions.

`all_checks` runs them. The other files contain the checks, each of which returns a `check_result`.
"""
