"""Losses on a sample of the classes, for outputs of many thousands: nce_loss, sampled_softmax_loss, and their sampler.

Words sorted by how often they occur follow Zipf's law, so classes are drawn log-uniformly: class k with probability
log((k + 2) / (k + 1)) / log(range_max + 1). The logits are corrected by how often a class is expected in a sample.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cltensor.base.errors import InvalidArgumentError
from cltensor.core.tensor import Tensor, convert
from cltensor.ops.array import expand_dims, reshape, stop_gradient
from cltensor.ops.creation import ones_like, zeros_like
from cltensor.ops.cross_entropy import sigmoid_cross_entropy_with_logits, softmax_cross_entropy_with_logits_v2
from cltensor.ops.functions import exp, floor, log
from cltensor.ops.gather import gather
from cltensor.ops.join import concat
from cltensor.ops.linalg import matmul
from cltensor.ops.math import cast, equal, where
from cltensor.ops.random import random_uniform
from cltensor.ops.reduce import reduce_any, reduce_sum
from cltensor.ops.sort import top_k

__all__ = ["log_uniform_candidate_sampler", "nce_loss", "sampled_softmax_loss", "Candidates"]


class Candidates(NamedTuple):
    """Sampled classes, and how often the true and the sampled ones are expected in a sample."""

    sampled_candidates: Any
    true_expected_count: Any
    sampled_expected_count: Any


def log_uniform_candidate_sampler(true_classes: Any, num_true: int, num_sampled: int, unique: bool, range_max: int,
                                  seed: Any = None, name: str | None = None) -> Candidates:
    """A sample of the classes 0 to range_max - 1, small ones more often.

    Args:
        true_classes: int32 or int64 [batch, num_true].
        unique: draw without repetition.

    Returns: named tuple (sampled_candidates int64 [num_sampled], true_expected_count [batch, num_true],
        sampled_expected_count [num_sampled]). Without repetition a count is the chance to be in the sample, of as many
        tries as give num_sampled different classes on average.
    Raises: InvalidArgumentError for a unique sample larger than range_max.

    Example:
        >>> import cltensor as tf
        >>> made = tf.nn.log_uniform_candidate_sampler([[0]], 1, 4, True, 4)
        >>> sorted(made.sampled_candidates.numpy().tolist()), made.true_expected_count.numpy().tolist()
        ([0, 1, 2, 3], [[1.0]])
    """
    if unique and num_sampled > range_max:
        raise InvalidArgumentError(f"log_uniform_candidate_sampler: num_sampled = {num_sampled} is more than the "
                                   f"range_max = {range_max} different classes")
    classes = np.arange(range_max, dtype=np.float64)
    chance = np.log((classes + 2) / (classes + 1)) / np.log(range_max + 1)
    if unique:
        # the largest of log p + Gumbel noise are a draw without repetition (Vieira 2014)
        noise = log(-log(random_uniform([range_max], seed=seed)))
        sampled = cast(top_k(np.log(chance).astype(np.float32) - noise, num_sampled).indices, "int64")
        counts = _chance_within(chance, num_sampled)
    else:
        u = random_uniform([num_sampled], seed=seed)
        sampled = cast(floor(exp(u * float(np.log(range_max + 1)))), "int64") - 1
        sampled = sampled % range_max           # exp may round up to the end
        counts = chance * num_sampled
    table = convert(counts.astype(np.float32))
    sampled = stop_gradient(sampled)
    return Candidates(sampled, gather(table, true_classes), gather(table, sampled))


def _chance_within(chance: np.ndarray, count: int) -> np.ndarray:
    """How likely each class is among the tries that give `count` different classes on average."""
    if count >= len(chance):
        return np.ones_like(chance)
    def within(tries: float) -> np.ndarray:
        return -np.expm1(tries * np.log1p(-chance))

    low, high = float(count), float(count)
    while within(high).sum() < count:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle).sum() < count else (low, middle)
    return within(high)


def _logits(op: str, weights: Any, biases: Any, labels: Any, inputs: Any, num_sampled: int, num_classes: int,
            num_true: int, sampled_values: Any, remove_accidental_hits: bool, seed: Any) -> tuple[Tensor, Tensor]:
    """Logits [batch, num_true + num_sampled], and their labels: 1 / num_true for true classes, 0 for sampled ones."""
    labels, inputs = convert(labels, op=op), convert(inputs, op=op)
    if labels.spec.shape is not None and len(labels.spec.shape) == 1:
        labels = expand_dims(labels, -1)
    if labels.spec.shape is None or len(labels.spec.shape) != 2 or labels.spec.shape[1] not in (None, num_true):
        raise InvalidArgumentError(f"{op}: labels must have shape (batch, num_true = {num_true}), they have "
                                   f"{labels.shape}")
    if sampled_values is None:
        sampled_values = log_uniform_candidate_sampler(labels, num_true, num_sampled, True, num_classes, seed)
    sampled, of_true, of_sampled = sampled_values
    weights, biases = convert(weights), convert(biases)
    true = reduce_sum(expand_dims(inputs, 1) * gather(weights, labels), -1) + gather(biases, labels)
    others = matmul(inputs, gather(weights, sampled), transpose_b=True) + gather(biases, sampled)
    if remove_accidental_hits:
        hits = reduce_any(equal(expand_dims(cast(labels, "int64"), -1), reshape(cast(sampled, "int64"), [1, 1, -1])), 1)
        others = where(hits, others * 0.0 - 1e30, others)
    logits = concat([true - log(of_true), others - log(of_sampled)], 1)
    return logits, concat([ones_like(true) / float(num_true), zeros_like(others)], 1)


def nce_loss(weights: Any, biases: Any, labels: Any, inputs: Any, num_sampled: int, num_classes: int,
             num_true: int = 1, sampled_values: Any = None, remove_accidental_hits: bool = False,
             partition_strategy: str = "mod", name: str = "nce_loss") -> Tensor:
    """Noise-contrastive estimation (Gutmann and Hyvarinen 2010): tell the true class from sampled ones.

    Args:
        weights: [num_classes, dim]; biases: [num_classes].
        labels: int32 or int64 [batch, num_true], the true classes, frequent ones having small numbers.
        inputs: [batch, dim].
        num_sampled: classes drawn per batch, by `log_uniform_candidate_sampler`.
        sampled_values: what a sampler gave, in its place.

    Returns: losses [batch].
    Raises: InvalidArgumentError for labels of another shape.

    Example:
        >>> import cltensor as tf
        >>> w, x = tf.ones([100, 4]), tf.ones([2, 4])
        >>> tf.nn.nce_loss(w, tf.zeros([100]), [[1], [2]], x, 5, 100).shape
        TensorShape([2])
    """
    logits, targets = _logits("nce_loss", weights, biases, labels, inputs, num_sampled, num_classes, num_true,
                              sampled_values, remove_accidental_hits, None)
    return reduce_sum(sigmoid_cross_entropy_with_logits(labels=targets, logits=logits), 1)


def sampled_softmax_loss(weights: Any, biases: Any, labels: Any, inputs: Any, num_sampled: int, num_classes: int,
                         num_true: int = 1, sampled_values: Any = None, remove_accidental_hits: bool = True,
                         partition_strategy: str = "mod", name: str = "sampled_softmax_loss",
                         seed: Any = None) -> Tensor:
    """Softmax cross entropy over the true classes and a sample of the others (Jean et al. 2014); for training only.

    Arguments, result and errors are those of `nce_loss`. With `remove_accidental_hits` a sampled class that is true
    does not count as another.
    """
    logits, targets = _logits("sampled_softmax_loss", weights, biases, labels, inputs, num_sampled, num_classes,
                              num_true, sampled_values, remove_accidental_hits, seed)
    return softmax_cross_entropy_with_logits_v2(labels=stop_gradient(targets), logits=logits)
