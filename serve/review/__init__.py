"""People decide what the model is unsure of: the memes, their queue, and its routes."""
