"""Distributions of durations, as scenario and profile files write them.

Each is a TOML table with a `kind`; `sample(u)` turns a keyed uniform into seconds, `scaled(factor)` is the same shape
with all times so many times as long. A log-normal is given by its median and either `sigma` or one upper quantile.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from statistics import NormalDist
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_STANDARD_NORMAL = NormalDist()


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @cached_property
    def sampler(self) -> Callable[[float], float]:
        """The function behind `sample`, for hot loops."""
        raise TypeError(f"{type(self).__name__} has no sampler")

    def sample(self, u: float) -> float:
        """Seconds for a uniform `u` in (0, 1)."""
        return self.sampler(u)


class Constant(_Table):
    """Always the same number of seconds."""

    kind: Literal["constant"]
    value: float = Field(ge=0, description="seconds")

    @cached_property
    def sampler(self) -> Callable[[float], float]:
        value = self.value
        return lambda u: value

    def scaled(self, factor: float) -> Constant:
        """The same with all times multiplied."""
        return Constant(kind="constant", value=self.value * factor)


class Uniform(_Table):
    """Evenly between `low` and `high` seconds."""

    kind: Literal["uniform"]
    low: float = Field(ge=0, description="seconds")
    high: float = Field(ge=0, description="seconds")

    @model_validator(mode="after")
    def _ordered(self) -> Uniform:
        if self.high < self.low:
            raise ValueError(f"high ({self.high}) must not be below low ({self.low})")
        return self

    @cached_property
    def sampler(self) -> Callable[[float], float]:
        low, width = self.low, self.high - self.low
        return lambda u: low + width * u

    def scaled(self, factor: float) -> Uniform:
        """The same with all times multiplied."""
        return Uniform(kind="uniform", low=self.low * factor, high=self.high * factor)


class Exponential(_Table):
    """Memoryless, by its mean: what is left to wait does not depend on how long one has waited."""

    kind: Literal["exponential"]
    mean: float = Field(gt=0, description="seconds")

    @cached_property
    def sampler(self) -> Callable[[float], float]:
        mean, log = self.mean, math.log
        return lambda u: -mean * log(1.0 - u)

    def scaled(self, factor: float) -> Exponential:
        """The same with all times multiplied."""
        return Exponential(kind="exponential", mean=self.mean * factor)


class LogNormal(_Table):
    """Log-normal, by its median and one of sigma, p90, p95 or p99."""

    kind: Literal["lognormal"]
    median: float = Field(gt=0, description="seconds")
    sigma: float | None = Field(default=None, gt=0, description="standard deviation of the natural logarithm")
    p90: float | None = Field(default=None, gt=0, description="seconds")
    p95: float | None = Field(default=None, gt=0, description="seconds")
    p99: float | None = Field(default=None, gt=0, description="seconds")

    @model_validator(mode="after")
    def _one_spread(self) -> LogNormal:
        given = [name for name in ("sigma", "p90", "p95", "p99") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of sigma, p90, p95, p99 (given: {', '.join(given) or 'none'})")
        if given[0] != "sigma" and getattr(self, given[0]) <= self.median:
            raise ValueError(f"{given[0]} ({getattr(self, given[0])}) must be above the median ({self.median})")
        return self

    @cached_property
    def log_sigma(self) -> float:
        """The standard deviation of the logarithm, whichever way the spread was given."""
        if self.sigma is not None:
            return self.sigma
        for name, quantile in (("p90", 0.90), ("p95", 0.95), ("p99", 0.99)):
            value: float | None = getattr(self, name)
            if value is not None:
                return math.log(value / self.median) / _STANDARD_NORMAL.inv_cdf(quantile)
        raise AssertionError("validated above")

    @cached_property
    def sampler(self) -> Callable[[float], float]:
        mu, sigma, inverse, exp = math.log(self.median), self.log_sigma, _STANDARD_NORMAL.inv_cdf, math.exp
        return lambda u: exp(mu + sigma * inverse(u))

    def scaled(self, factor: float) -> LogNormal:
        """The same with all times multiplied."""
        return LogNormal(kind="lognormal", median=self.median * factor, sigma=self.log_sigma)


class Part(BaseModel):
    """One component of a mixture."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    weight: float = Field(gt=0, description="its share, of the sum of all weights")
    distribution: Distribution = Field(description="of seconds")


class Mixture(_Table):
    """Several distributions with weights; the weights are shares of their sum."""

    kind: Literal["mixture"]
    parts: tuple[Part, ...] = Field(min_length=1)

    @cached_property
    def sampler(self) -> Callable[[float], float]:
        total = sum(part.weight for part in self.parts)
        steps: list[tuple[float, float, Callable[[float], float]]] = []
        low = 0.0
        for part in self.parts:
            share = part.weight / total
            steps.append((low, share, part.distribution.sampler))
            low += share

        def sample(u: float) -> float:
            for low, share, sampler in reversed(steps):
                if u > low:
                    return sampler(min((u - low) / share, 1.0 - 2.0**-53))
            low, share, sampler = steps[0]
            return sampler(u / share)

        return sample

    def scaled(self, factor: float) -> Mixture:
        """The same with all times multiplied."""
        parts = (Part(weight=part.weight, distribution=part.distribution.scaled(factor)) for part in self.parts)
        return Mixture(kind="mixture", parts=tuple(parts))


Distribution = Annotated[Constant | Uniform | Exponential | LogNormal | Mixture, Field(discriminator="kind")]


def _number_is_constant(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"kind": "constant", "value": value}
    return value


Seconds = Annotated[Distribution, BeforeValidator(_number_is_constant)]
"""A distribution of seconds, or a number: always that long."""

Part.model_rebuild()
Mixture.model_rebuild()
