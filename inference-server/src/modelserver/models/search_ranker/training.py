"""Training of the ranker, in two stages, seeded.

A small transformer needs many searches to discover that "couch" and "sofa" match. So the embeddings are trained first, alone,
in a late-interaction model (Khattab & Zaharia 2020, ColBERT) that costs seconds; the cross-encoder starts from them, with
queries and keys of its first layer tied so that attention matches similar words from the first step.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from modelserver.models.search_ranker.features import PAD, Ids
from modelserver.models.search_ranker.network import CrossEncoder
from modelserver.models.search_ranker.recipe import NetworkShape, Recipe
from modelserver.models.search_ranker.searches import JudgedSearches
from modelserver.models.search_ranker.shop import Shop

_EMBEDDING_RATE = 6e-3
_ENCODER_RATE = 1.5e-3
_EMBEDDING_NORM = 4.0
"""Length of a token's embedding in the residual stream: large against kind and position, so that words match first."""
_TIED_GAIN = 1.5
_LOGIT_SCALE = 3.0


class LateInteraction(nn.Module):
    """Scores a query by the best match of each of its words in the title."""

    def __init__(self, shape: NetworkShape) -> None:
        super().__init__()
        self.token = nn.Embedding(shape.buckets, shape.width, padding_idx=PAD)
        self.weight = nn.Embedding(shape.buckets, 1, padding_idx=PAD)
        nn.init.normal_(self.token.weight, std=0.2)
        nn.init.constant_(self.weight.weight, _LOGIT_SCALE)

    def forward(self, query: Tensor, items: Tensor) -> Tensor:
        """Return the scores of items [searches, candidates, words] for queries [searches, words]."""
        asked = functional.normalize(self.token(query), dim=-1)
        offered = functional.normalize(self.token(items), dim=-1)
        similarity = torch.einsum("sqd,skid->skqi", asked, offered)
        best = similarity.masked_fill((items == PAD)[:, :, None, :], -1.0).amax(dim=3)
        weight = self.weight(query)[:, None, :, 0] * (query != PAD)[:, None, :]
        scores: Tensor = (best * weight).sum(dim=2)
        return scores


def listwise_loss(scores: Tensor, grades: Tensor) -> Tensor:
    """Return the cross-entropy between gains and softmaxed scores (Cao et al. 2007, ListNet); both [searches, candidates]."""
    gains = torch.pow(2.0, grades) - 1
    target = gains / gains.sum(dim=1, keepdim=True).clamp(min=1.0)
    return -(target * scores.log_softmax(dim=1)).sum(dim=1).mean()


def batches(searches: int, size: int, steps: int, rng: np.random.Generator) -> Iterator[Ids]:
    """Yield `steps` batches of row numbers, in epochs shuffled anew."""
    order = np.zeros(0, dtype=np.int64)
    for _ in range(steps):
        while len(order) < size:
            order = np.concatenate([order, rng.permutation(searches)])
        yield order[:size]
        order = order[size:]


def train_embeddings(
    searches: JudgedSearches, shop: Shop, recipe: Recipe, advance: Callable[[], None]
) -> LateInteraction:
    """Train the first stage; `advance` is called after each step."""
    model = LateInteraction(recipe.shape)
    optimizer = torch.optim.Adam(model.parameters(), lr=_EMBEDDING_RATE)
    rng = np.random.default_rng(recipe.seed)
    for rows in batches(len(searches.queries), recipe.batch_searches, recipe.embedding_steps, rng):
        items = torch.from_numpy(shop.item_tokens[searches.candidates[rows]])
        scores = model(torch.from_numpy(searches.queries[rows]), items)
        loss = listwise_loss(scores, torch.from_numpy(searches.grades[rows]).float())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        advance()
    return model


def start_encoder(embeddings: LateInteraction, shape: NetworkShape) -> CrossEncoder:
    """Return a cross-encoder that starts from trained embeddings."""
    model = CrossEncoder(shape)
    with torch.no_grad():
        model.token.weight.copy_(functional.normalize(embeddings.token.weight, dim=-1) * _EMBEDDING_NORM)
        model.token.weight[PAD] = 0.0
        nn.init.normal_(model.kind.weight, std=0.1)
        nn.init.normal_(model.position, std=0.02)
        rotation, _ = torch.linalg.qr(torch.randn(shape.width, shape.width))
        first, inner = model.first_layer.query_key_value.weight, shape.heads * shape.head_width
        first[:inner] = rotation[:inner] * _TIED_GAIN
        first[inner : 2 * inner] = rotation[:inner] * _TIED_GAIN
    return model


def train_encoder(
    model: CrossEncoder, searches: JudgedSearches, shop: Shop, recipe: Recipe, advance: Callable[[], None]
) -> None:
    """Train the second stage in place; `advance` is called after each step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=_ENCODER_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, _ENCODER_RATE, total_steps=recipe.encoder_steps, pct_start=0.15
    )
    rng = np.random.default_rng(recipe.seed + 1)
    model.train()
    for rows in batches(len(searches.queries), recipe.batch_searches, recipe.encoder_steps, rng):
        pairs = searches.pairs(shop, rows)
        scores = model(torch.from_numpy(pairs.tokens), torch.from_numpy(pairs.kinds)).view(len(rows), -1)
        loss = listwise_loss(scores, torch.from_numpy(searches.grades[rows]).float())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        advance()
    model.eval()


def train(searches: JudgedSearches, shop: Shop, recipe: Recipe, advance: Callable[[], None]) -> CrossEncoder:
    """Train both stages from the recipe's seed; `advance` is called `embedding_steps + encoder_steps` times."""
    torch.manual_seed(recipe.seed)
    embeddings = train_embeddings(searches, shop, recipe, advance)
    model = start_encoder(embeddings, recipe.shape)
    train_encoder(model, searches, shop, recipe, advance)
    return model
