"""What a phase learns: one module per value of `config.loss`, one class in each.

`make_objective` is called once, by whoever runs, checks or compiles a phase; what it
returns is passed on, and nothing outside this package asks which loss it is. To add an
objective, write a module with a class `Objective` (see `base`) and add its name to
`KINDS`. Importing this module imports no JAX; making an objective does.
"""

import importlib

KINDS = ("tokens", "dino", "contrastive")


def kind_of(loss: str):
    """The class of the objective that `config.loss` names."""
    return importlib.import_module(f"{__name__}.{loss}").Objective


def make_objective(run):
    """The objective of a phase.

    Args:
        run: `settings.TrainSettings`.
    """
    return kind_of(run.loss)(run)
