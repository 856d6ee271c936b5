"""Every hand-derived gradient against central differences: the worst entry of each piece.

python -m examples.gradient_check
"""

import torch

from d2l_softmax.gradient_check import GradientCheckResult, gradient_check
from d2l_softmax.initialisers import xavier
from d2l_softmax.manual import CrossEntropy, Flatten, Linear, MSELoss, Sequential, Softmax


def check_all(sample: int = 500) -> dict[str, GradientCheckResult]:
    """Check every model, and every criterion on top of one, at 16 random inputs of the size of Fashion-MNIST."""

    def normal(seed: int, *shape: int) -> torch.Tensor:
        return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))

    linear = Linear(784, 10, xavier, generator=torch.Generator().manual_seed(4), device=torch.device("cpu"))
    images, rows, logits = normal(1, 16, 1, 28, 28), normal(1, 16, 784), normal(3, 16, 10)
    y = torch.randint(0, 10, (16,), generator=torch.Generator().manual_seed(2))
    cases = {
        "Linear": (linear, None, rows, None),
        "Flatten": (Flatten(), None, images, None),
        "Softmax": (Softmax(), None, logits, None),
        "Flatten, Linear": (Sequential(Flatten(), linear), None, images, None),
        "Linear, CrossEntropy": (linear, CrossEntropy(), rows, y),
        "Linear, MSELoss": (linear, MSELoss(), rows, logits),
        "Linear, Softmax, MSELoss": (Sequential(linear, Softmax()), MSELoss(), rows, y),
    }
    return {name: gradient_check(*case, sample=sample) for name, case in cases.items()}


if __name__ == "__main__":
    for name, result in check_all().items():
        where = f"{result.tensor} {list(result.index)}"
        print(f"{name:25s} {result.error:.1e} at {where}, the worst of {result.checked}")
