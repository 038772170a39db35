"""Writes the goldens: weights, outputs, some gradients of the tiny cases from torch.

    python -m tests.models.parity.make_goldens

Needs the `torch` extra. One .npz a case in `tests/models/parity/goldens`; the default
tests read them and need no torch.
"""

import pathlib

import numpy as np

from tests.models.parity import torch_side
from tests.models.parity.cases import GOLDEN, WITH_GRADIENTS, make_case

FOLDER = pathlib.Path(__file__).parent / "goldens"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in GOLDEN:
        case = make_case(name)
        weights, (loss, out, gradients) = torch_side.run(name, case)
        arrays = {f"weights/{key}": value for key, value in weights.items()}
        if name in WITH_GRADIENTS:
            arrays |= {f"gradients/{key}": value for key, value in gradients.items()}
        arrays |= {f"batch/{key}": value for key, value in case.batch.items()}
        path = FOLDER / f"{name}.npz"
        np.savez_compressed(path, loss=np.float32(loss), out=out, **arrays)
        print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB, loss {loss:.4f}")


if __name__ == "__main__":
    main()
