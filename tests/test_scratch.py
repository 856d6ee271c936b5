import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from d2l_softmax import scratch


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.0, 1e-4, 1.0, 100.0, 1e4])
@pytest.mark.parametrize(("batch", "classes"), [(1, 1), (1, 20), (12, 1), (12, 10)])
def test_softmax_cross_entropy_and_its_gradient_are_pytorchs(batch, classes, scale, dtype):
    generator = torch.Generator().manual_seed(batch)
    logits = scale * (2 * torch.rand(batch, classes, generator=generator, dtype=dtype) - 1)
    for extreme in (-1e4, 1e4, 0.0):
        logits[torch.rand(batch, classes, generator=generator) < 0.1] = extreme
    y = torch.randint(0, classes, (batch,), generator=generator)
    assert_close(scratch.softmax(logits), F.softmax(logits, dim=1))
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    our_losses, their_losses = scratch.cross_entropy(ours, y), F.cross_entropy(theirs, y, reduction="none")
    assert our_losses.shape == (len(y),)
    assert our_losses.isfinite().all()
    assert_close(our_losses, their_losses)
    our_losses.sum().backward()
    their_losses.sum().backward()
    assert_close(ours.grad, theirs.grad)


def test_cross_entropy_of_probabilities_is_the_books_example():
    y_hat = torch.tensor([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]])
    losses = scratch.cross_entropy_of_probabilities(y_hat, torch.tensor([0, 2]))
    assert_close(losses, torch.tensor([2.3026, 0.6931]), atol=5e-5, rtol=0)


def test_parameters_depend_on_the_seed_only_and_each_classs_weights_are_contiguous():
    def draw(seed):
        return scratch.init_params(784, 10, generator=torch.Generator().manual_seed(seed), device=torch.device("cpu"))

    W, b = draw(3)
    assert (W.shape, b.shape) == ((784, 10), (10,))
    assert all(p.requires_grad and p.is_leaf for p in (W, b))
    assert torch.equal(W, draw(3)[0])
    assert not torch.equal(W, draw(4)[0])
    assert W.T.is_contiguous()
    (torch.randn(5, 784) @ W).sum().backward()
    assert W.grad.T.is_contiguous()
