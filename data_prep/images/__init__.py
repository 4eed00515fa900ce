"""Image data sets: sources, checks, and the Arrow files that the engine reads."""
