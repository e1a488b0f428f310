"""Benchmarks: accuracy against a baseline, ablation, speed, memory, and choice of constants."""

from runtime.processes import limit_spinning

# Before torch is imported: this file is loaded before any benchmark.
limit_spinning()
