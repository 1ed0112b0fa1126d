"""Generated product photos: silhouettes turned, scaled, coloured and textured, before clutter, under noise."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelserver.models.image_classifier.silhouettes import SILHOUETTES, Field

LABELS: tuple[str, ...] = tuple(SILHOUETTES)

_RENDERED_AT_ONCE = 256
_MAX_TURN_RADIANS = 0.5
_CLUTTER = 4
_EDGE_PIXELS = 0.7
"""Half the width of an edge, as a lens blurs it."""


@dataclass(frozen=True)
class Photos:
    """Photos and what they show.

    Attributes:
        images: uint8 [photos, size, size, 3].
        labels: Index into LABELS, int64 [photos].
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def _grid(size: int) -> tuple[Field, Field]:
    axis = (np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1
    return axis[None, None, :], axis[None, :, None]


def _draw(rng: np.random.Generator, low: float, high: float, photos: int) -> Field:
    return rng.uniform(low, high, size=(photos, 1, 1)).astype(np.float32)


def _placed(photos: int, size: int, rng: np.random.Generator) -> tuple[Field, Field, Field]:
    """Return each photo's coordinates as its product sees them, and the product's scale."""
    x, y = _grid(size)
    turn, scale = _draw(rng, -_MAX_TURN_RADIANS, _MAX_TURN_RADIANS, photos), _draw(rng, 0.6, 1.0, photos)
    x, y = x - _draw(rng, -0.2, 0.2, photos), y - _draw(rng, -0.2, 0.2, photos)
    cos, sin = np.cos(turn) / scale, np.sin(turn) / scale
    mirror = rng.choice(np.array([-1, 1], dtype=np.float32), size=(photos, 1, 1))
    return (cos * x + sin * y) * mirror, cos * y - sin * x, scale


def _coverage(distance: Field, size: int) -> Field:
    """Return how much of each pixel lies inside, 0 to 1."""
    inside: Field = np.clip(0.5 - distance * size / (4 * _EDGE_PIXELS), 0, 1)
    return inside[..., None]


def _colours(photos: int, rng: np.random.Generator) -> Field:
    return rng.uniform(0.05, 0.95, size=(photos, 1, 1, 3)).astype(np.float32)


def _unlike(colours: Field, rng: np.random.Generator) -> Field:
    """Return colours that differ from the given ones in each channel."""
    shift: Field = rng.uniform(0.2, 0.8, size=colours.shape).astype(np.float32)
    return (colours + shift) % 1


def _texture(x: Field, y: Field, photos: int, rng: np.random.Generator) -> Field:
    """Return stripes in any direction, from plain to strong, as a factor."""
    direction, period = _draw(rng, 0, np.pi, photos), _draw(rng, 6, 20, photos)
    wave = np.sin((np.cos(direction) * x + np.sin(direction) * y) * period + _draw(rng, 0, 6, photos))
    factor: Field = 1 + _draw(rng, 0, 0.45, photos) * wave
    return factor[..., None]


def _background(wall: Field, size: int, rng: np.random.Generator) -> Field:
    """Return a wall of a colour, unevenly lit, with boxes and discs lying about."""
    photos = len(wall)
    x, y = _grid(size)
    slope = (_draw(rng, -0.3, 0.3, photos) * x + _draw(rng, -0.3, 0.3, photos) * y)[..., None]
    canvas: Field = wall + slope
    for piece in range(_CLUTTER):
        left, top = x - _draw(rng, -1, 1, photos), y - _draw(rng, -1, 1, photos)
        extent = _draw(rng, 0.05, 0.25, photos)
        if piece % 2:
            distance = np.hypot(left, top) - extent
        else:
            distance = np.maximum(np.abs(left) - extent, np.abs(top) - _draw(rng, 0.03, 0.3, photos))
        cover = _coverage(distance, size) * _draw(rng, 0.3, 1, photos)[..., None]
        canvas = canvas * (1 - cover) + _colours(photos, rng) * cover
    return canvas


def _outline(labels: NDArray[np.int64], x: Field, y: Field, rng: np.random.Generator) -> Field:
    shape = (_draw(rng, 0, 1, len(labels)), _draw(rng, 0, 1, len(labels)), _draw(rng, 0, 1, len(labels)))
    distance = np.empty_like(x)
    for index, silhouette in enumerate(SILHOUETTES.values()):
        rows = labels == index
        if rows.any():
            distance[rows] = silhouette(x[rows], y[rows], (shape[0][rows], shape[1][rows], shape[2][rows]))
    return distance


def _photograph(labels: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    photos = len(labels)
    x, y, scale = _placed(photos, size, rng)
    cover = _coverage(_outline(labels, x, y, rng) * scale, size)
    wall = _colours(photos, rng)
    product = _unlike(wall, rng) * _texture(x, y, photos, rng)
    canvas = _background(wall, size, rng) * (1 - cover) + product * cover
    canvas += rng.normal(size=canvas.shape).astype(np.float32) * _draw(rng, 0.01, 0.08, photos)[..., None]
    canvas = (canvas - 0.5) * _draw(rng, 0.6, 1.1, photos)[..., None] + _draw(rng, 0.35, 0.65, photos)[..., None]
    pixels: NDArray[np.uint8] = (np.clip(canvas, 0, 1) * 255).astype(np.uint8)
    return pixels


def _chunks(labels: NDArray[np.int64], size: int, rng: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(labels), _RENDERED_AT_ONCE):
        yield _photograph(labels[start : start + _RENDERED_AT_ONCE], size, rng)


def take_photos(photos: int, size: int, rng: np.random.Generator) -> Photos:
    """Generate photos, all labels alike often.

    Args:
        photos: How many.
        size: Pixels along each side.
        rng: The same state gives the same photos.
    """
    labels = rng.permutation(np.arange(photos, dtype=np.int64) % len(LABELS))
    return Photos(np.concatenate(list(_chunks(labels, size, rng))), labels)
