"""Smaller networks from the trained one, by structured pruning or as a student; both are then taught by its scores."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from modelserver.models.search_ranker.features import Ids
from modelserver.models.search_ranker.network import CrossEncoder, EncoderLayer, SummaryLayer
from modelserver.models.search_ranker.recipe import NetworkShape, Recipe
from modelserver.models.search_ranker.searches import JudgedSearches
from modelserver.models.search_ranker.shop import Shop
from modelserver.models.search_ranker.training import batches, listwise_loss

_TUNING_RATE = 1e-3
_TEACHER_SHARE = 0.5
"""Of the loss: how much the teacher's ranking counts beside the judged grades."""


def _most_important(importance: Tensor, count: int) -> Tensor:
    """Return the indices of the `count` largest, ascending, so that the order of what stays is kept."""
    return importance.topk(count).indices.sort().values


def _kept_heads(layer: EncoderLayer, heads: int) -> Tensor:
    """Return the rows of query, key and value that belong to the heads whose output weighs most."""
    by_head = layer.attention_out.weight.view(-1, layer.heads, layer.head_width)
    kept = _most_important(by_head.norm(dim=(0, 2)), heads)
    return (kept[:, None] * layer.head_width + torch.arange(layer.head_width)).flatten()


def _kept_hidden(layer: EncoderLayer, hidden: int) -> Tensor:
    """Return the hidden units whose weights in and out are largest (magnitude pruning, Li et al. 2017)."""
    return _most_important(layer.feed_in.weight.norm(dim=1) * layer.feed_out.weight.norm(dim=0), hidden)


def _copy_attention(source: EncoderLayer, target: EncoderLayer | SummaryLayer, heads: Tensor) -> None:
    """Copy query, key and value of the heads; the source has the three in one, the target may have them apart."""
    inner = source.heads * source.head_width
    query, key, value = (heads + part * inner for part in range(3))
    if isinstance(target, SummaryLayer):
        parts = [(target.query, query), (target.key_value, torch.cat([key, value]))]
    else:
        parts = [(target.query_key_value, torch.cat([query, key, value]))]
    for linear, rows in parts:
        linear.weight.copy_(source.query_key_value.weight[rows])
        linear.bias.copy_(source.query_key_value.bias[rows])


def _copy_layer(source: EncoderLayer, target: EncoderLayer | SummaryLayer, shape: NetworkShape) -> None:
    heads, hidden = _kept_heads(source, shape.heads), _kept_hidden(source, shape.hidden)
    _copy_attention(source, target, heads)
    target.attention_out.weight.copy_(source.attention_out.weight[:, heads])
    target.attention_out.bias.copy_(source.attention_out.bias)
    target.feed_in.weight.copy_(source.feed_in.weight[hidden])
    target.feed_in.bias.copy_(source.feed_in.bias[hidden])
    target.feed_out.weight.copy_(source.feed_out.weight[:, hidden])
    target.feed_out.bias.copy_(source.feed_out.bias)
    for name in ("attention_norm", "feed_norm"):
        getattr(target, name).load_state_dict(getattr(source, name).state_dict())


@torch.no_grad()
def shrink(network: CrossEncoder, shape: NetworkShape) -> CrossEncoder:
    """Return a copy with the heads, hidden units and first layers that `shape` has room for, the most important ones.

    Args:
        network: Trained.
        shape: Of the same vocabulary and width.
    """
    small = CrossEncoder(shape)
    for name in ("token", "kind", "score_norm", "score"):
        getattr(small, name).load_state_dict(getattr(network, name).state_dict())
    small.position.copy_(network.position)
    sources = [network.first_layer, *network.other_layers]
    for source, target in zip(sources, [small.first_layer, *small.other_layers], strict=False):
        _copy_layer(source, target, shape)
    return small.eval()


def _teach_batches(
    searches: JudgedSearches, shop: Shop, rows: Iterator[Ids]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    for batch in rows:
        pairs = searches.pairs(shop, batch)
        grades = torch.from_numpy(searches.grades[batch]).float()
        yield torch.from_numpy(pairs.tokens), torch.from_numpy(pairs.kinds), grades


def teach(
    student: CrossEncoder,
    teacher: CrossEncoder,
    searches: JudgedSearches,
    shop: Shop,
    recipe: Recipe,
    steps: int,
    advance: Callable[[], None],
) -> None:
    """Train a smaller network in place towards the teacher's ranking (Hinton et al. 2015) and the judged grades.

    Args:
        student: To be trained.
        teacher: Trained; left alone.
        searches: To learn from.
        shop: What they are about.
        recipe: For the seed and the batch size.
        steps: How many.
        advance: Called after each.
    """
    optimizer = torch.optim.AdamW(student.parameters(), lr=_TUNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _TUNING_RATE, total_steps=steps, pct_start=0.15)
    rows = batches(len(searches.queries), recipe.batch_searches, steps, np.random.default_rng(recipe.seed + 2))
    student.train()
    for tokens, kinds, grades in _teach_batches(searches, shop, rows):
        with torch.no_grad():
            wanted = teacher(tokens, kinds).view(grades.shape).softmax(dim=1)
        scores = student(tokens, kinds).view(grades.shape)
        imitation = functional.cross_entropy(scores, wanted)
        loss = _TEACHER_SHARE * imitation + (1 - _TEACHER_SHARE) * listwise_loss(scores, grades)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        advance()
    student.eval()
