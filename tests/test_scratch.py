import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from d2l_softmax import scratch


@pytest.mark.parametrize("scale", [0.0, 1e-4, 1.0, 1e4])
@pytest.mark.parametrize("shape", [(1, 1), (1, 20), (12, 1), (12, 10)])
def test_softmax_is_pytorchs(shape, scale):
    logits = scale * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert_close(scratch.softmax(logits), F.softmax(logits, dim=1))


def test_cross_entropy_of_probabilities_is_the_books_example():
    y_hat = torch.tensor([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]])
    losses = scratch.cross_entropy_of_probabilities(y_hat, torch.tensor([0, 2]))
    assert_close(losses, torch.tensor([2.3026, 0.6931]), atol=5e-5, rtol=0)


def test_parameters_are_leaves_and_each_classs_weights_are_contiguous():
    W, b = scratch.init_params(784, 10, device=torch.device("cpu"))
    assert all(p.requires_grad and p.is_leaf for p in (W, b))
    assert W.T.is_contiguous()
    (torch.randn(5, 784) @ W).sum().backward()
    assert W.grad.T.is_contiguous()
