"""The built-in sample: memes drawn from a seed, mean or nice, with nothing offensive in them.

`sample_captions` writes captions from a grammar, `sample_pictures` draws the subjects of
`drawings`, and `sample_memes` puts both together and writes them to disk.
"""

from extract.sample.sample_memes import FEWEST, Meme, compose, write_sample

__all__ = ["FEWEST", "Meme", "compose", "write_sample"]
