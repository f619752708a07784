"""Optimizers: rules from a state and the gradient there to the next state.

A state is a tuple of arrays whose first is theta; a run begins with ``(theta,)``, and a rule adds the memory it needs.
Any callable of that kind is an optimizer. Those here are in the units of the caller: ``step`` scales like a time,
(theta_unit / unit)^2, for those that are linear in the gradient, and like theta for the others.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields
from math import sqrt
from typing import Any, Protocol

import numpy as np

State = tuple[np.ndarray, ...]


class Optimizer(Protocol):
    """A rule of one step."""

    def __call__(self, state: State, gradient: np.ndarray) -> State:
        """Return the next state; nothing that is passed is changed."""


def remembered(state: State, count: int) -> State:
    """Return theta and ``count`` arrays of memory, zero at the first step."""
    return state if len(state) > 1 else (state[0], *(np.zeros_like(state[0]) for _ in range(count)))


def _positive(rule: Any, *names: str) -> None:
    for name in names:
        value = getattr(rule, name)
        if not _real(value) or not 0 < value < np.inf:
            raise ValueError(f"{name} must be a positive finite number; got {value!r}")


def _fraction(rule: Any, *names: str) -> None:
    for name in names:
        value = getattr(rule, name)
        if not _real(value) or not 0 <= value < 1:
            raise ValueError(f"{name} must lie in [0, 1); got {value!r}")


def _real(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


class LinearOptimizer(ABC):
    """An optimizer that is linear in state and gradient: it keeps every linear subspace that the gradient keeps.

    On a quadratic function a mode of curvature h is multiplied by the roots of r^2 - p r + q in every step, with p and
    q from ``characteristic(h)``.
    """

    @abstractmethod
    def characteristic(self, curvature: float) -> tuple[float, float]:
        """Return p and q."""

    @property
    @abstractmethod
    def stable_curvature(self) -> float:
        """Return the curvature above which a minimum is left: where -1 is a root; scales as 1 / step."""

    def growth(self, rate: float) -> float:
        """Return the factor r by which a mode of curvature -rate grows in a step, so that log(1/alpha) take 1 / log r.

        It is the larger root; rate >= 0.
        """
        p, q = self.characteristic(-rate)
        return p / 2 + sqrt(max(p * p / 4 - q, 0.0))


@dataclass(frozen=True)
class GradientStep(LinearOptimizer):
    """Gradient descent: theta - step g."""

    step: float

    def __post_init__(self) -> None:
        _positive(self, "step")

    def __call__(self, state: State, gradient: np.ndarray) -> State:
        return (state[0] - self.step * gradient,)

    def characteristic(self, curvature: float) -> tuple[float, float]:
        """Return 1 - step h and 0."""
        return 1.0 - self.step * curvature, 0.0

    @property
    def stable_curvature(self) -> float:
        """Return 2 / step."""
        return 2.0 / self.step


@dataclass(frozen=True)
class HeavyBall(LinearOptimizer):
    """Heavy ball (Polyak 1964): v = momentum v + g, theta - step v.

    The velocity is 0 at first, and 0 <= momentum < 1.
    """

    step: float
    momentum: float = 0.9

    def __post_init__(self) -> None:
        _positive(self, "step")
        _fraction(self, "momentum")

    def __call__(self, state: State, gradient: np.ndarray) -> State:
        theta, velocity = remembered(state, 1)
        velocity = self.momentum * velocity + gradient
        return theta - self.step * velocity, velocity

    def characteristic(self, curvature: float) -> tuple[float, float]:
        """Return 1 + momentum - step h and momentum."""
        return 1.0 + self.momentum - self.step * curvature, self.momentum

    @property
    def stable_curvature(self) -> float:
        """Return 2 (1 + momentum) / step."""
        return 2.0 * (1.0 + self.momentum) / self.step


@dataclass(frozen=True)
class Nesterov(LinearOptimizer):
    """Nesterov's method: v = momentum v + g, theta - step (g + momentum v), where theta is the point looked ahead to.

    It is x_next = theta - step g, theta_next = x_next + momentum (x_next - x), and 0 <= momentum < 1.
    """

    step: float
    momentum: float = 0.9

    def __post_init__(self) -> None:
        _positive(self, "step")
        _fraction(self, "momentum")

    def __call__(self, state: State, gradient: np.ndarray) -> State:
        theta, velocity = remembered(state, 1)
        velocity = self.momentum * velocity + gradient
        return theta - self.step * (gradient + self.momentum * velocity), velocity

    def characteristic(self, curvature: float) -> tuple[float, float]:
        """Return (1 + momentum) (1 - step h) and momentum (1 - step h)."""
        factor = 1.0 - self.step * curvature
        return (1.0 + self.momentum) * factor, self.momentum * factor

    @property
    def stable_curvature(self) -> float:
        """Return 2 (1 + momentum) / (1 + 2 momentum) / step."""
        return 2.0 * (1.0 + self.momentum) / (1.0 + 2.0 * self.momentum) / self.step


@dataclass(frozen=True)
class WeightDecay(LinearOptimizer):
    """Gradient descent on f + decay/2 |theta|^2: theta - step (g + decay theta), decay > 0."""

    step: float
    decay: float

    def __post_init__(self) -> None:
        _positive(self, "step", "decay")

    def __call__(self, state: State, gradient: np.ndarray) -> State:
        return (state[0] - self.step * (gradient + self.decay * state[0]),)

    def characteristic(self, curvature: float) -> tuple[float, float]:
        """Return 1 - step (h + decay) and 0."""
        return 1.0 - self.step * (curvature + self.decay), 0.0

    @property
    def stable_curvature(self) -> float:
        """Return 2 / step - decay."""
        return 2.0 / self.step - self.decay


@dataclass(frozen=True)
class NormalizedGradient:
    """Normalised gradient descent: theta - step g / |g|; no step where g = 0."""

    step: float

    def __post_init__(self) -> None:
        _positive(self, "step")

    def __call__(self, state: State, gradient: np.ndarray) -> State:
        size = float(np.abs(gradient).max(initial=0.0))
        if size == 0.0:
            return state
        scaled = gradient / size  # squares of the entries may leave the range of a double
        return (state[0] - self.step * (scaled / np.linalg.norm(scaled)),)


@dataclass(frozen=True)
class SignDescent:
    """Sign descent: theta - step sign(g), entry by entry."""

    step: float

    def __post_init__(self) -> None:
        _positive(self, "step")

    def __call__(self, state: State, gradient: np.ndarray) -> State:
        return (state[0] - self.step * np.sign(gradient),)


@dataclass(frozen=True)
class AdaGrad:
    """AdaGrad (Duchi, Hazan and Singer 2011): theta - step g / (s + epsilon), s^2 the sum of all g^2, entry by entry.

    ``epsilon`` > 0 is in the units of the gradient.
    """

    step: float
    epsilon: float = 1e-10

    def __post_init__(self) -> None:
        _positive(self, "step", "epsilon")

    def __call__(self, state: State, gradient: np.ndarray) -> State:
        theta, root = remembered(state, 1)
        root = np.hypot(root, gradient)  # the root of the sum, whose squares may leave the range of a double
        return theta - self.step * gradient / (root + self.epsilon), root


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015), both moments corrected for their bias: theta - step m / (s + epsilon).

    m and s^2 are the running means of g and g^2 with weights 1 - beta1 and 1 - beta2, both betas in [0, 1);
    ``epsilon`` > 0 is in the units of the gradient.
    """

    step: float
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _positive(self, "step", "epsilon")
        _fraction(self, "beta1", "beta2")

    def __call__(self, state: State, gradient: np.ndarray) -> State:
        theta, mean, root, weights = state if len(state) > 1 else (*remembered(state, 2), np.zeros(2))
        betas = np.array([self.beta1, self.beta2])
        weights = 1.0 - betas * (1.0 - weights)  # 1 - beta^n after n steps: what the weights of the means add up to
        mean = self.beta1 * mean + (1.0 - self.beta1) * gradient
        root = np.hypot(sqrt(self.beta2) * root, sqrt(1.0 - self.beta2) * gradient)
        scale = root / sqrt(weights[1]) + self.epsilon
        return theta - self.step * (mean / weights[0]) / scale, mean, root, weights


OPTIMIZERS: dict[str, Any] = {
    "gradient": GradientStep,
    "heavy-ball": HeavyBall,
    "nesterov": Nesterov,
    "weight-decay": WeightDecay,
    "normalized": NormalizedGradient,
    "sign": SignDescent,
    "adagrad": AdaGrad,
    "adam": Adam,
}
"""The optimizers that have a name."""


def optimizer_of(optimizer: str | Optimizer, step: float | None, parameters: dict[str, Any]) -> Optimizer:
    """Return the optimizer of that name with its parameters, or the one that is given.

    Raises ``ValueError`` for an unknown name, a parameter it does not have, or one that is missing or out of range,
    and ``TypeError`` for anything that is neither a name nor callable.
    """
    given = parameters if step is None else {"step": step} | parameters
    if not isinstance(optimizer, str):
        if not callable(optimizer) or isinstance(optimizer, type):
            raise TypeError(f"optimizer must be a name or a rule (state, gradient) -> state; got {optimizer!r}")
        if given:
            raise ValueError(f"{', '.join(given)}: an optimizer that is an object has its own parameters")
        return optimizer
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, or an object; got {optimizer!r}")
    known = {field.name: field for field in fields(OPTIMIZERS[optimizer])}
    for name in given:
        if name not in known:
            raise ValueError(f"optimizer '{optimizer}' takes {', '.join(known)}; got {name}")
    missing = [name for name, field in known.items() if field.default is MISSING and name not in given]
    if missing:
        raise ValueError(f"optimizer '{optimizer}' needs {' and '.join(missing)}")
    rule: Optimizer = OPTIMIZERS[optimizer](**given)
    return rule
