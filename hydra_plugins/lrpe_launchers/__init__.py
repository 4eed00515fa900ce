"""This project's launchers: hydra finds plugins in packages of this name. The work is in ``experiments.launch``."""
