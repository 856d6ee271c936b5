"""The hand-derived framework used for something else: fitting the line y = 3x − 1 to ten noisy points.

    python -m examples.line_fit

Gradient descent on a quadratic has a closed form, so the result is checked to the last digit: with the normal
equations H p = v of the least squares, each step multiplies the distance to their solution p* by I − lr H, and after
k steps from p₀ = 0 it is p_k = p* − (I − lr H)ᵏ p*.
"""

import torch
from torch import Tensor

from d2l_softmax.initialisers import zeros
from d2l_softmax.manual import Linear, MSELoss
from d2l_softmax.scratch import SGD


def points(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Ten points x (10, 1), y (10, 1) near y = 3x − 1, in float64."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.linspace(-1, 1, 10, dtype=torch.float64).unsqueeze(1)
    return x, 3 * x - 1 + 0.1 * torch.randn(x.shape, generator=generator, dtype=torch.float64)


def fit(x: Tensor, y: Tensor, lr: float, steps: int) -> tuple[float, float]:
    """Slope and intercept after `steps` steps of gradient descent from zero, by forward and backward passes."""
    model = Linear(1, 1, zeros, device=x.device, dtype=x.dtype)
    criterion, optimizer = MSELoss(), SGD(model.parameters(), lr)
    for _ in range(steps):
        criterion(model(x), y)
        optimizer.zero_grad()
        model.backward(criterion.backward())
        optimizer.step()
    return model.W.item(), model.b.item()


def closed_form(x: Tensor, y: Tensor, lr: float, steps: int) -> tuple[float, float]:
    """The same slope and intercept without taking a step."""
    A = torch.cat([x, torch.ones_like(x)], dim=1)
    H, v = A.T @ A / len(x), A.T @ y / len(x)
    solution = torch.linalg.solve(H, v)
    left = torch.linalg.matrix_power(torch.eye(2, dtype=x.dtype) - lr * H, steps)
    a, b = (solution - left @ solution).flatten().tolist()
    return a, b


if __name__ == "__main__":
    x, y = points()
    for name, method in (("step by step", fit), ("closed form", closed_form)):
        a, b = method(x, y, lr=0.1, steps=100)
        print(f"{name:13s} y = {a:.8f} x {b:+.8f}")
