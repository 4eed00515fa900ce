"""Tasks as jobs of SLURM: their script and options, the notes that lead back to them, and waiting for them."""
