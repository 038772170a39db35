"""Second-colour marks: a stripe, dot or patch on the left or right of a silhouette."""

import numpy as np

KINDS = ("stripe", "dot", "patch")
SIDES = ("left", "right")
_COVER = 0.2  # of the silhouette lies under a dot


def _stripe(body: np.ndarray) -> np.ndarray:
    columns = np.cumsum(body.sum(axis=0)) / body.sum()
    x0, x1 = np.searchsorted(columns, [0.12, 0.36])
    mask = np.zeros_like(body)
    mask[:, x0:x1] = True
    return mask


def _dot(body: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(body)
    near = columns <= np.quantile(columns, 0.42)
    middle = (rows[near].mean(), columns[near].mean())
    y, x = np.ogrid[: body.shape[0], : body.shape[1]]
    return (y - middle[0]) ** 2 + (x - middle[1]) ** 2 <= body.sum() * _COVER / np.pi


def _patch(body: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: body.shape[0], : body.shape[1]]
    height = x - y  # lowest in the bottom left corner
    return height <= np.quantile(height[body], 0.27)


_PAINTERS = {"stripe": _stripe, "dot": _dot, "patch": _patch}


def make_painter(kind: str, side: str):
    """Returns the function that paints a mark on a silhouette.

    Args:
        kind: one of `KINDS`.
        side: one of `SIDES`.

    Returns:
        function of a silhouette bool[Y, X], giving the mark bool[Y, X].
    """
    paint = _PAINTERS[kind]
    if side == "left":
        return paint
    return lambda body: paint(body[:, ::-1])[:, ::-1]
