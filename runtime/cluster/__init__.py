"""Divide work among processes on many machines, with an optional package: `engine_config` has the
settings, `ray_workers` the processes."""
