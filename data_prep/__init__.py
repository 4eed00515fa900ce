"""Data sets: download or read, verify, prepare what the engine reads, describe."""
