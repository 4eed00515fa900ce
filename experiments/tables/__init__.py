"""From run records to a table: what it holds (spec), its numbers (aggregate), its cells (grid), and its files."""
