"""People decide what the model is unsure of: `review_memes` chooses the memes, `review_queue` gives
each to one reviewer and saves the decisions, and `review_routes` answers over HTTP."""
