"""A config that was resolved before: `--config=configs/resolved.py:FILE.json`.

    python -m babyvlm_jax.train --config=configs/resolved.py:runs/joint/config.json \\
        --workdir=runs/again

Runs exactly what that file says; single values can still be overridden.
"""

import json

import ml_collections
from etils import epath

from babyvlm_jax.runtime.errors import check_file


def get_config(arg: str) -> ml_collections.ConfigDict:
    """Reads the resolved config from the file `arg`, here or in a bucket."""
    check_file(arg)
    return ml_collections.ConfigDict(json.loads(epath.Path(arg).read_text()))
