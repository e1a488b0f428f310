"""Speed and memory of single parts, which the pages in docs/ quote."""
