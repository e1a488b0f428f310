"""What decides about accuracy: paired differences on held-out rows; no test label is read."""
