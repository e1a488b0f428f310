"""Divide work among processes on many machines, with an optional package."""
