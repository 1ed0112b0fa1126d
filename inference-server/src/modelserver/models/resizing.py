"""Resizing of whole batches of images as two matrix products; numpy alone, so that every variant shares it."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from modelserver.tensors import Array

_SIZES_REMEMBERED = 32
"""Clients choose the sizes, so what is kept for each is bounded."""
_MAX_INTERLEAVED = 1 << 18
"""Weights beyond which interleaving the channels costs more memory than it saves time."""


def resampling(source: int, target: int) -> NDArray[np.float32]:
    """Return the weights of each source pixel in each target pixel along one axis, float32 [target, source].

    A triangle filter, widened when shrinking so that no pixel is skipped: what Pillow calls BILINEAR and torch
    `interpolate(mode="bilinear", antialias=True)`.
    """
    scale = source / target
    reach = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(source)[None, :] + 0.5 - centres[:, None]) / reach
    weights = np.maximum(1.0 - distance, 0.0)
    result: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return result


_remembered = lru_cache(maxsize=_SIZES_REMEMBERED)(resampling)


@lru_cache(maxsize=_SIZES_REMEMBERED)
def _interleaved(source: int, target: int, channels: int) -> NDArray[np.float32]:
    """Return the same weights for rows whose pixels hold several channels, [source * channels, target * channels]."""
    return np.ascontiguousarray(np.kron(_remembered(source, target).T, np.eye(channels, dtype=np.float32)))


def resized(images: Array, height: int, width: int) -> NDArray[np.float32]:
    """Resample images of one size; another aspect ratio is stretched.

    Args:
        images: [images, rows, columns, channels], any numbers.
        height: Rows of the result.
        width: Columns of the result.

    Returns:
        float32 [images, height, width, channels].
    """
    count, rows, columns, channels = images.shape
    lines = images.astype(np.float32, copy=False).reshape(count, rows, columns * channels)
    if rows != height:
        lines = _remembered(rows, height) @ lines
    if columns == width:
        return lines.reshape(count, height, width, channels)
    if columns * width * channels**2 > _MAX_INTERLEAVED:
        # One product per line instead: slower for few channels, but the weights stay small.
        return _remembered(columns, width) @ lines.reshape(count, height, columns, channels)
    flat = lines.reshape(count * height, columns * channels) @ _interleaved(columns, width, channels)
    return flat.reshape(count, height, width, channels)
