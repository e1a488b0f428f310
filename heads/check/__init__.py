"""Checks that catch a lie: leaks, modalities that go unused, a submission gone wrong."""
