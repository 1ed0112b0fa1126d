"""Silhouettes of the shop's products, as implicit functions: negative inside, about the distance to the edge outside.

Each function takes coordinates x to the right and y downwards, -1 to 1, float32 [images, size, size], and three shape
parameters per image, 0 to 1, float32 [images, 1, 1] each.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from modelserver.tensors import Array

Field: TypeAlias = Array
Parameters: TypeAlias = tuple[Field, Field, Field]
Silhouette: TypeAlias = Callable[[Field, Field, Parameters], Field]


def _disc(x: Field, y: Field, radius: Field | float) -> Field:
    distance: Field = np.hypot(x, y) - radius
    return distance


def _ring(x: Field, y: Field, radius: Field | float, thickness: Field | float) -> Field:
    return np.abs(_disc(x, y, radius)) - thickness


def _box(x: Field, y: Field, half_width: Field | float, half_height: Field | float) -> Field:
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def _taper(x: Field, y: Field, top: Field | float, bottom: Field | float, half_height: Field | float) -> Field:
    """Return a trapezoid: half widths at its upper and lower edge."""
    along = np.clip((y / half_height + 1) / 2, 0, 1)
    return np.maximum(np.abs(x) - (top + (bottom - top) * along), np.abs(y) - half_height)


def _union(*parts: Field) -> Field:
    nearest: Field = np.minimum.reduce(parts)
    return nearest


def _without(whole: Field, part: Field) -> Field:
    return np.maximum(whole, -part)


def mug(x: Field, y: Field, shape: Parameters) -> Field:
    """Return a body with a handle at its side."""
    width = 0.4 + 0.15 * shape[0]
    body = _taper(x + 0.15, y, width, width - 0.1 * shape[1], 0.5 + 0.15 * shape[2])
    handle = _ring(x + 0.15 - width, y, 0.26, 0.08)
    return _union(body, handle)


def shirt(x: Field, y: Field, shape: Parameters) -> Field:
    """Return a torso with slanting sleeves and a neckline."""
    torso = _box(x, y - 0.1, 0.38 + 0.08 * shape[0], 0.62)
    slope = 0.6 + 0.5 * shape[1]
    sleeves = _box(np.abs(x) - 0.55, y + 0.38 - slope * (np.abs(x) - 0.4) * 0.6, 0.3, 0.18)
    return _without(_union(torso, sleeves), _disc(x, y + 0.55, 0.16 + 0.06 * shape[2]))


def trousers(x: Field, y: Field, shape: Parameters) -> Field:
    """Return two legs under a waistband."""
    spread = 0.24 + 0.08 * shape[0]
    legs = _taper(np.abs(x) - spread, y - 0.1, 0.2, 0.13 + 0.1 * shape[1], 0.7 - 0.2 * shape[2])
    return _union(legs, _box(x, y + 0.5, spread + 0.18, 0.2))


def lamp(x: Field, y: Field, shape: Parameters) -> Field:
    """Return a shade on a stem with a foot."""
    shade = _taper(x, y + 0.4, 0.22 + 0.12 * shape[0], 0.5 + 0.1 * shape[1], 0.3)
    return _union(shade, _box(x, y - 0.25, 0.06, 0.5), _box(x, y - 0.75, 0.25 + 0.12 * shape[2], 0.08))


def bottle(x: Field, y: Field, shape: Parameters) -> Field:
    """Return a body that narrows to a neck."""
    width = 0.24 + 0.12 * shape[0]
    body = _box(x, y - 0.3, width, 0.5)
    shoulder = _taper(x, y + 0.3, 0.1, width, 0.12)
    return _union(body, shoulder, _box(x, y + 0.55, 0.1 + 0.04 * shape[1], 0.2 + 0.1 * shape[2]))


def boot(x: Field, y: Field, shape: Parameters) -> Field:
    """Return a shaft over a foot that points to the right."""
    shaft = _box(x + 0.3, y + 0.2, 0.22 + 0.08 * shape[0], 0.6)
    foot = _box(x - 0.08, y - 0.55, 0.55, 0.17 + 0.06 * shape[1])
    toe = _disc(x - 0.5, y - 0.52, 0.2)
    heel = _box(x + 0.38, y - 0.78, 0.16, 0.08 * shape[2])
    return _union(shaft, foot, toe, heel)


def hat(x: Field, y: Field, shape: Parameters) -> Field:
    """Return a crown over a brim."""
    crown = _taper(x, y + 0.1, 0.3 + 0.1 * shape[0], 0.45, 0.35 + 0.1 * shape[1])
    return _union(crown, _box(x, y - 0.35, 0.75 + 0.15 * shape[2], 0.09))


def bag(x: Field, y: Field, shape: Parameters) -> Field:
    """Return a body with a handle over it."""
    body = _taper(x, y - 0.25, 0.45 + 0.1 * shape[0], 0.55 + 0.1 * shape[1], 0.45)
    return _union(body, _ring(x, y + 0.2, 0.3 + 0.1 * shape[2], 0.07))


def watch(x: Field, y: Field, shape: Parameters) -> Field:
    """Return a dial on a strap."""
    dial = _disc(x, y, 0.36 + 0.08 * shape[0])
    strap = _taper(x, np.abs(y) - 0.6, 0.2, 0.14 + 0.06 * shape[1], 0.35)
    return _union(dial, strap, _box(x - 0.45, y, 0.08 * shape[2], 0.07))


def glasses(x: Field, y: Field, shape: Parameters) -> Field:
    """Return two rims joined by a bridge."""
    apart = 0.4 + 0.05 * shape[0]
    rims = _ring(np.abs(x) - apart, y, 0.28 + 0.05 * shape[1], 0.07 + 0.04 * shape[2])
    return _union(rims, _box(x, y + 0.08, 0.16, 0.06), _box(np.abs(x) - 0.85, y + 0.08, 0.15, 0.06))


SILHOUETTES: dict[str, Silhouette] = {
    shape.__name__: shape for shape in (mug, shirt, trousers, lamp, bottle, boot, hat, bag, watch, glasses)
}
"""Label -> its silhouette; the order is that of the classes."""
