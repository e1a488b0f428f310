"""The seam between the stages: the table of cached embeddings and its file."""
