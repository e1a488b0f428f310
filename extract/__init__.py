"""Stage one: a table of memes becomes pooled embeddings of two jointly fine-tuned backbones."""
