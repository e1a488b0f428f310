"""What the figures in the README are compared with, and how its constants were chosen."""

from runtime.processes import limit_spinning

# This file is loaded before any benchmark, and so before torch.
limit_spinning()
