"""Training of the text encoder, seeded: first its pieces alone, as a bag, in seconds; then the network that starts as that."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from modelserver.models.text_encoder.network import TextEncoder
from modelserver.models.text_encoder.pieces import PAD
from modelserver.models.text_encoder.recipe import Recipe

Pieces = NDArray[np.int64]

_BAG_RATE = 1e-2
_ENCODER_RATE = 3e-3
_LEARNED_SHARE = 0.1
"""Of the rate, for pieces that the first stage has trained: as fast as the rest they would forget it."""
_TUNING_RATE = 1e-3
_TEMPERATURE = 0.05
_TEACHER_SHARE = 10.0


def contrast(left: Tensor, right: Tensor) -> Tensor:
    """Return the loss of telling each text's paraphrase from those of all others in the batch (van den Oord et al. 2018).

    Args:
        left: Embeddings of length 1, [meanings, width].
        right: Of the same meanings, written otherwise.
    """
    similarity = left @ right.T / _TEMPERATURE
    own = torch.arange(len(left))
    loss: Tensor = functional.cross_entropy(similarity, own) + functional.cross_entropy(similarity.T, own)
    return loss / 2


def _draws(
    messages: Pieces, partners: NDArray[np.int64], size: int, steps: int, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield `steps` batches of two paraphrases each, cut to the longest; half of a batch are the other half's partners."""
    for _ in range(steps):
        first = rng.integers(len(messages), size=size // 2)
        rows = np.unique(np.concatenate([first, partners[first]]))
        ways = rng.permuted(np.tile(np.arange(messages.shape[1]), (len(rows), 1)), axis=1)
        pair = [messages[rows, ways[:, at]] for at in (0, 1)]
        longest = max(int((side[:, :, 0] != PAD).sum(axis=1).max()) for side in pair)
        yield torch.from_numpy(pair[0][:, :longest]), torch.from_numpy(pair[1][:, :longest])


def _descend(
    network: TextEncoder,
    rate: float,
    piece_rate: float,
    steps: int,
    draws: Iterator[tuple[Tensor, Tensor]],
    loss_of: Callable[[Tensor, Tensor], Tensor],
    advance: Callable[[], None],
) -> None:
    other = [parameter for name, parameter in network.named_parameters() if not name.startswith("piece.")]
    pieces = list(network.piece.parameters())
    optimizer = torch.optim.AdamW([{"params": other}, {"params": pieces}], lr=rate, weight_decay=0.01)
    rates = [rate, piece_rate]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps, pct_start=0.15)
    for left, right in draws:
        optimizer.zero_grad()
        torch.autograd.backward(loss_of(left, right))
        nn.utils.clip_grad_norm_(other + pieces, 1.0)
        optimizer.step()
        schedule.step()
        advance()


def _start_as_bag(network: TextEncoder) -> None:
    """Make every layer pass the stream on unchanged, so that the network starts as the bag of its pieces."""
    nn.init.normal_(network.piece.weight, std=0.3)
    nn.init.normal_(network.position, std=0.02)
    nn.init.orthogonal_(network.embed.weight)
    with torch.no_grad():
        network.piece.weight[PAD] = 0.0
    for name, parameter in network.layers.named_parameters():
        if "attention_out" in name or "feed_out" in name:
            nn.init.zeros_(parameter)


def train(messages: Pieces, partners: NDArray[np.int64], recipe: Recipe, advance: Callable[[], None]) -> TextEncoder:
    """Train both stages from the recipe's seed.

    Args:
        messages: int64 [meanings, paraphrases, WORDS, PIECES].
        partners: Row of the meaning that is most easily confused with each, int64 [meanings].
        recipe: Sizes and steps.
        advance: Called `bag_steps + encoder_steps` times.
    """
    torch.manual_seed(recipe.seed)
    network = TextEncoder(recipe.shape)
    _start_as_bag(network)
    layers, network.layers = network.layers, nn.ModuleList()

    def loss(left: Tensor, right: Tensor) -> Tensor:
        return contrast(network(left), network(right))

    rng = np.random.default_rng(recipe.seed)
    draws = _draws(messages, partners, recipe.bag_batch, recipe.bag_steps, rng)
    _descend(network, _BAG_RATE, _BAG_RATE, recipe.bag_steps, draws, loss, advance)
    network.layers = layers
    draws = _draws(messages, partners, recipe.encoder_batch, recipe.encoder_steps, rng)
    _descend(network, _ENCODER_RATE, _ENCODER_RATE * _LEARNED_SHARE, recipe.encoder_steps, draws, loss, advance)
    network.eval()
    return network


def distil(
    network: TextEncoder,
    teacher: TextEncoder,
    messages: Pieces,
    partners: NDArray[np.int64],
    batch: int,
    steps: int,
    seed: int,
    advance: Callable[[], None],
) -> None:
    """Train in place towards a teacher's embeddings, and to tell paraphrases apart; see `train`."""

    def loss_of(left: Tensor, right: Tensor) -> Tensor:
        with torch.no_grad():
            taught = teacher(left)
        said = network(left)
        towards_teacher = (1 - (said * taught).sum(dim=1)).mean()
        loss: Tensor = _TEACHER_SHARE * towards_teacher + contrast(said, network(right))
        return loss

    draws = _draws(messages, partners, batch, steps, np.random.default_rng(seed))
    _descend(network, _TUNING_RATE, _TUNING_RATE * _LEARNED_SHARE, steps, draws, loss_of, advance)
    network.eval()
