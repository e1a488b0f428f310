"""Checks of a finished run: leaks, modalities that go unused, a submission gone wrong.

`all_checks` runs them. Each of the other files returns a `check_result`.
"""
