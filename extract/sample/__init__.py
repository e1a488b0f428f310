"""The built-in sample: generated memes, mean or nice, without offensive content.

`sample_captions` generates captions from a grammar, `sample_pictures` draws the subjects that
`drawings` defines, and `sample_memes` combines both and writes the data set to disk.
"""

from extract.sample.sample_memes import MIN_MEMES, Meme, compose_memes, write_sample

__all__ = ["MIN_MEMES", "Meme", "compose_memes", "write_sample"]
