"""The built-in sample: memes drawn from a seed, mean or nice, with nothing offensive in them."""

from extract.sample.memes import FEWEST, Meme, compose, write_sample

__all__ = ["FEWEST", "Meme", "compose", "write_sample"]
