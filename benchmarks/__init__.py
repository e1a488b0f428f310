"""What the figures in the README are compared with, and how its constants were chosen."""
