"""Sizes that stay open in a saved function: integers as sums of products of named sizes, found from examples.

A function is traced with several batch sizes. What is equal in all traces is a constant; an integer that differs
(the 36 n of a flattened batch) is looked for among sums of products of the open sizes, so that it can be computed
again for any batch. A float that differs may be such a number, or one over it (the gradient of a mean).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import prod
from typing import Any

from cltensor.base.errors import InvalidArgumentError

__all__ = ["Sized", "Size", "fit", "value_of", "points"]

DEGREE = 3          # sizes multiplied in one product at most


class Sized:
    """Data with open sizes in it."""

    def value(self, known: Mapping[str, Any]) -> Any:
        """What it is for these sizes."""
        raise NotImplementedError


@dataclass(frozen=True)
class Size(Sized):
    """A number computed from open sizes.

    Attributes:
        terms: pairs of a factor and the names multiplied with it; the number is their sum.
        kind: "int"; "float", the same as a float; "inverse", one over it.

    Example:
        >>> Size(((36, ("n",)), (1, ()))).value({"n": 2})
        73
    """

    terms: tuple[tuple[int, tuple[str, ...]], ...]
    kind: str = "int"

    def value(self, known: Mapping[str, Any]) -> Any:
        """The number for these sizes.

        Raises: InvalidArgumentError for a size that is not known while ops are recorded.
        """
        if any(known[name] is None for _, names in self.terms for name in names):
            raise InvalidArgumentError(f"saved_model: the size {self} is needed and not known here; call the function "
                                       "with tensors whose shapes are known")
        total = sum(factor * prod(known[name] for name in names) for factor, names in self.terms)
        return total if self.kind == "int" else float(total) if self.kind == "float" else 1.0 / total

    @property
    def name(self) -> str | None:
        """The name of an open size that stands alone, else None."""
        (factor, names), *more = self.terms
        return names[0] if not more and factor == 1 and len(names) == 1 and self.kind == "int" else None

    def __str__(self) -> str:
        text = " + ".join("*".join([*([str(f)] if f != 1 or not names else []), *names]) for f, names in self.terms)
        return text if self.kind == "int" else f"float({text})" if self.kind == "float" else f"1/({text})"


def value_of(x: Any, known: Mapping[str, Any]) -> Any:
    """Plain data with everything in it that depends on open sizes as it is for these."""
    if isinstance(x, Sized):
        return x.value(known)
    return tuple(value_of(v, known) for v in x) if isinstance(x, tuple) else x


def points(names: list[str], batch: set[str]) -> list[dict[str, int]]:
    """Sizes to trace with: one of each, each of them changed alone, and all of them changed.

    Args:
        names: the open sizes.
        batch: those that are batch sizes; others are larger, as images have to be.
    """
    first = {name: (53 if name in batch else 96) + 4 * i for i, name in enumerate(names)}
    if not names:
        return [first]
    # the steps are odd and prime, so that a rounded quotient does not pass for a product
    alone = [{**first, name: first[name] + 11} for name in names]
    return [first, *alone, {name: size + 23 + 6 * i for i, (name, size) in enumerate(first.items())}]


def fit(values: list, known: list[dict[str, int]]) -> Any:
    """What gives these numbers at these points: the number itself where all are equal, else a Size, else None.

    Example:
        >>> at = [{"n": 53}, {"n": 64}, {"n": 76}]
        >>> fit([7, 7, 7], at), str(fit([107, 129, 153], at)), fit([26, 32, 38], at)
        (7, '2*n + 1', None)
    """
    first = values[0]
    if all(v == first for v in values[1:]):
        return first
    if any(isinstance(v, bool) for v in values):
        return None
    if all(isinstance(v, int) for v in values):
        return next((s for s in _candidates(values, known) if _holds(s, values, known)), None)
    for kind, turned in (("float", values), ("inverse", [1.0 / v if v else 0.0 for v in values])):
        whole = [round(v) for v in turned]
        for size in _candidates(whole, known):
            if _holds(found := Size(size.terms, kind), values, known):
                return found
    return None


def _holds(size: Size, values: list, known: list[dict[str, int]]) -> bool:
    return all(size.value(at) == v for v, at in zip(values, known))


def _candidates(values: list[int], known: list[dict[str, int]]) -> Iterator[Size]:
    """A sum with whole factors through all points but the last, then single products."""
    base, names = known[0], list(known[0])
    factors = []
    for name, at, value in zip(names, known[1:], values[1:]):
        step = at[name] - base[name]
        if (value - values[0]) % step:
            break
        factors.append((value - values[0]) // step)
    else:
        rest = values[0] - sum(f * base[n] for f, n in zip(factors, names))
        terms = [(f, (n,)) for f, n in zip(factors, names) if f] + ([(rest, ())] if rest else [])
        if terms:
            yield Size(tuple(terms))
    for degree in range(1, DEGREE + 1):
        for product in combinations_with_replacement(names, degree):
            at_base = prod(base[n] for n in product)
            if values[0] and values[0] % at_base == 0:
                yield Size(((values[0] // at_base, product),))
