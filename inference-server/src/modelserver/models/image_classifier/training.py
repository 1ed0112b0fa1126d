"""Training of networks that tell photos apart, seeded."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

_RATE = 6e-3
_TUNING_RATE = 2e-3
_WEIGHT_DECAY = 0.02
_SMOOTHING = 0.05
_TEMPERATURE = 2.0
_TEACHER_SHARE = 0.7


def _batches(photos: int, size: int, steps: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield `steps` batches of row numbers, in epochs shuffled anew."""
    order = np.zeros(0, dtype=np.int64)
    for _ in range(steps):
        if len(order) < size:
            order = np.concatenate([order, rng.permutation(photos)])
        yield order[:size]
        order = order[size:]


def _descend(
    network: nn.Module,
    rate: float,
    batches: Iterator[NDArray[np.int64]],
    steps: int,
    loss_of: Callable[[NDArray[np.int64], bool], Tensor],
    advance: Callable[[], None],
) -> None:
    """Minimise `loss_of(rows, mirrored)`; every other batch is mirrored."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.2)
    network.train()
    for step, rows in enumerate(batches):
        optimizer.zero_grad()
        torch.autograd.backward(loss_of(rows, step % 2 == 1))
        optimizer.step()
        schedule.step()
        advance()
    network.eval()


def _read(images: NDArray[np.float32], rows: NDArray[np.int64], mirrored: bool) -> Tensor:
    chosen = torch.from_numpy(images[rows])
    return (chosen.flip(3) if mirrored else chosen).contiguous(memory_format=torch.channels_last)


def train_classifier(
    network: nn.Module,
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    batch_photos: int,
    steps: int,
    seed: int,
    advance: Callable[[], None],
) -> None:
    """Train in place to tell labels apart.

    Args:
        network: From images to logits.
        images: Preprocessed, float32 [photos, 3, size, size].
        labels: int64 [photos].
        batch_photos: Photos per step.
        steps: How many; `advance` is called after each.
        seed: Of the batches' order.
        advance: Told of progress.
    """

    def loss(rows: NDArray[np.int64], mirrored: bool) -> Tensor:
        logits = network(_read(images, rows, mirrored))
        return functional.cross_entropy(logits, torch.from_numpy(labels[rows]), label_smoothing=_SMOOTHING)

    batches = _batches(len(images), batch_photos, steps, np.random.default_rng(seed))
    _descend(network, _RATE, batches, steps, loss, advance)


def distil(
    network: nn.Module,
    teacher: nn.Module,
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    batch_photos: int,
    steps: int,
    seed: int,
    advance: Callable[[], None],
) -> None:
    """Train in place towards a teacher's softened answers and the labels (Hinton et al. 2015); see `train_classifier`."""
    teacher.eval()

    def loss(rows: NDArray[np.int64], mirrored: bool) -> Tensor:
        read = _read(images, rows, mirrored)
        with torch.no_grad():
            taught = functional.log_softmax(teacher(read) / _TEMPERATURE, dim=1)
        logits = network(read)
        said = functional.log_softmax(logits / _TEMPERATURE, dim=1)
        towards_teacher = functional.kl_div(said, taught, reduction="batchmean", log_target=True) * _TEMPERATURE**2
        towards_labels = functional.cross_entropy(logits, torch.from_numpy(labels[rows]))
        return _TEACHER_SHARE * towards_teacher + (1 - _TEACHER_SHARE) * towards_labels

    batches = _batches(len(images), batch_photos, steps, np.random.default_rng(seed))
    _descend(network, _TUNING_RATE, batches, steps, loss, advance)
