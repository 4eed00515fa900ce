"""Sentence classification in the layout of fairseq's ``sentence_prediction``: GLUE, and tasks from embedded text."""
