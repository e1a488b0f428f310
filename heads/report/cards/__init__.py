"""Memes with their pictures, for report.html: the gallery, and labels to look at."""
