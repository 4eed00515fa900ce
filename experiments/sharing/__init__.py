"""A finished run as a folder that others can load: model card, hub."""
