"""Which of several scores is best, on any processor.

Sums in another order, or with fused multiplications, differ in the last bits. Scores
that differ by no more count as equal, so that no answer hangs on the sign of a rounding
error.
"""

from collections.abc import Sequence

import numpy as np

TOLERANCE = 1e-5  # of the best score, or of 1 where that is smaller; f32 has 1e-7


def best_places(values: Sequence[float] | np.ndarray) -> list[int]:
    """Places of the highest values, in order.

    best_places([0.2, 0.5, 0.5000001])  ->  [1, 2]

    Args:
        values: f[K], K > 0; -inf is the lowest, NaN is never among the best.

    Returns:
        At least one place; all of them where every value is -inf or NaN.
    """
    values = np.asarray(values, np.float64)
    values = np.where(np.isnan(values), -np.inf, values)
    top = values.max()
    if np.isinf(top):
        return np.flatnonzero(values == top).tolist()
    return np.flatnonzero(top - values <= TOLERANCE * max(1.0, abs(top))).tolist()
