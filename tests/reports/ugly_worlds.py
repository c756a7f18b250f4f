"""Populations of worlds that have misled intervals: outages, clusters, worlds of different sizes, rates near 0 and 1.

A population draws worlds as (events, trials), any number at a time; its true rate is E[events] / E[trials].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Draw = Callable[[Generator, int], tuple[NDArray[Any], NDArray[Any]]]


@dataclass(frozen=True)
class Population:
    """Worlds of one kind: their true rate, the most trials that one can have, and how to draw some."""

    rate: float
    most: int
    draw: Draw


def alike(size: int, chances: Mapping[int, float]) -> Population:
    """Worlds of one size with so many events each, by their chances."""
    events, weights = list(chances), list(chances.values())
    rate = float(np.dot(events, weights)) / size

    def draw(generator: Generator, number: int) -> tuple[NDArray[Any], NDArray[Any]]:
        return generator.choice(events, number, p=weights), np.full(number, size)

    return Population(rate, size, draw)


def outages(share: float, *, size: int = 10, otherwise: float = 1.0) -> Population:
    """A share of the worlds fails altogether; in the others, trials succeed one by one."""

    def draw(generator: Generator, number: int) -> tuple[NDArray[Any], NDArray[Any]]:
        up = generator.random(number) >= share
        return np.where(up, generator.binomial(size, otherwise, number), 0), np.full(number, size)

    return Population((1 - share) * otherwise, size, draw)


def scattered(rate: float, correlation: float, size: int = 20) -> Population:
    """Beta-binomial: each world has a rate of its own."""
    strength = 1 / correlation - 1

    def draw(generator: Generator, number: int) -> tuple[NDArray[Any], NDArray[Any]]:
        own = generator.beta(rate * strength, (1 - rate) * strength, number)
        return generator.binomial(size, own), np.full(number, size)

    return Population(rate, size, draw)


def storms(share: float, size: int = 6) -> Population:
    """Worlds with an outage, in which all fail, have twice as many trials, because customers try again."""

    def draw(generator: Generator, number: int) -> tuple[NDArray[Any], NDArray[Any]]:
        down = generator.random(number) < share
        return np.where(down, 0, size), np.where(down, 2 * size, size)

    return Population((1 - share) / (1 + share), 2 * size, draw)


def of_many_sizes(share: float, most: int = 30) -> Population:
    """Worlds of 0 to `most` trials, some of which have an outage, whatever their size."""

    def draw(generator: Generator, number: int) -> tuple[NDArray[Any], NDArray[Any]]:
        trials = generator.integers(0, most + 1, number)
        return np.where(generator.random(number) < share, 0, trials), trials

    return Population(1 - share, most, draw)


POPULATIONS: dict[str, Population] = {
    "outages of 1 %": outages(0.01),
    "outages of 2 %": outages(0.02),
    "outages of 2 % of large worlds": outages(0.02, size=120),
    "outages of 5 %": outages(0.05),
    "outages of 30 %": outages(0.3),
    "outages of 2 %, and single failures": outages(0.02, otherwise=0.995),
    "independent, 1 %": outages(0.0, otherwise=0.01, size=20),
    "independent, 99.9 %": outages(0.0, otherwise=0.999, size=20),
    "independent, one half": outages(0.0, otherwise=0.5, size=3),
    "scattered, 50 %": scattered(0.5, 0.3),
    "scattered, 1 %": scattered(0.01, 0.5),
    "scattered, 95 %": scattered(0.95, 0.9),
    "two points": alike(4, {1: 0.9, 4: 0.1}),
    "rarely all": alike(50, {0: 0.99, 50: 0.01}),
    "rarely one more": alike(7, {6: 0.97, 7: 0.03}),
    "storms of 1 %": storms(0.01),
    "storms of 10 %": storms(0.1),
    "many sizes, outages of 3 %": of_many_sizes(0.03),
}
