"""Positions that are computed: sinusoids, and learned grids on other grids."""

import jax
import jax.numpy as jnp
import numpy as np


def sinusoids(num_positions: int, width: int) -> np.ndarray:
    """f32[num_positions, width]: sine in even, cosine in odd columns.

    Columns 2i and 2i + 1 hold the sine and cosine of p / 10000^(2i / width).

    Source: Attention Is All You Need (arXiv 1706.03762); the base is BabyLLaVA-V2's.
    """
    rates = 10000.0 ** (-np.arange(0, width, 2) / width)
    angles = np.arange(num_positions)[:, None] * rates
    table = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    return table.reshape(num_positions, -1)[:, :width].astype(np.float32)


def resize_grid(table: jax.Array, grid: tuple[int, int], method: str) -> jax.Array:
    """A square grid of positions on another grid, by bicubic interpolation.

    Args:
        table: [side^2, D], row by row.
        grid: rows and columns wanted.
        method: `antialias` widens the kernel where the grid shrinks (timm, DINOv2
            with registers); `torch` is torch's plain bicubic (transformers' ViT and
            DINOv2), of a sharper kernel and with repeated edges.

    Returns:
        [rows * columns, D].
    """
    side = round(table.shape[0] ** 0.5)
    square = table.reshape(side, side, -1)
    if method == "antialias":
        resized = jax.image.resize(square, (*grid, square.shape[-1]), "bicubic")
    else:
        rows, columns = (torch_bicubic(side, size) for size in grid)
        resized = jnp.einsum("yh,xw,hwd->yxd", rows, columns, square)
    return resized.reshape(-1, square.shape[-1])


def torch_bicubic(size: int, new_size: int) -> np.ndarray:
    """f32[new_size, size]: weights of torch's bicubic without antialiasing.

    A new point at (i + 1/2) size / new_size - 1/2 takes four neighbours, weighted by
    Keys' kernel with a = -3/4; neighbours beyond the edge repeat it.

    Source: the documented behaviour of `torch.nn.functional.interpolate`.
    """
    place = (np.arange(new_size) + 0.5) * size / new_size - 0.5
    first = np.floor(place).astype(int)
    matrix = np.zeros((new_size, size), np.float32)
    for offset in (-1, 0, 1, 2):
        neighbour = np.clip(first + offset, 0, size - 1)
        weight = keys_kernel(np.abs(place - first - offset), -0.75)
        np.add.at(matrix, (np.arange(new_size), neighbour), weight)
    return matrix


def keys_kernel(distance: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel at distances 0 to 2."""
    d = distance
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, near, far)
