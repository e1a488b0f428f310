"""What would stop a long run, found before it starts. Nothing here writes or downloads."""
