import torch
import torch.nn.functional as F
from torch.testing import assert_close

from d2l_softmax import BatchIterator, evaluate, manual, train_epoch
from d2l_softmax.manual import CrossEntropy, Flatten, Linear, MSELoss, Sequential, Softmax
from d2l_softmax.scratch import SGD

CPU = torch.device("cpu")
LABELS = torch.tensor([0, 3, 1])


def linear(num_inputs=6, num_outputs=4, **options):
    generator = torch.Generator().manual_seed(2)
    return Linear(num_inputs, num_outputs, generator=generator, device=CPU, dtype=torch.float64, **options)


def inputs(*shape, seed=3):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_gradients_accumulate_until_zero_grad_and_a_backward_pass_gives_the_same_twice():
    model, criterion = linear(), CrossEntropy()
    criterion(model(inputs(3, 6)), LABELS)
    model.backward(criterion.backward())
    once = [p.grad.clone() for p in model.parameters()]
    model.backward(criterion.backward())
    for p, one in zip(model.parameters(), once, strict=True):
        assert_close(p.grad, 2 * one)
    SGD(model.parameters(), lr=0.1).zero_grad()
    model.backward(criterion.backward())
    for p, one in zip(model.parameters(), once, strict=True):
        assert_close(p.grad, one)


def test_an_unneeded_input_gradient_is_not_computed():
    model = Sequential(Flatten(), linear(input_gradient=False))
    model(inputs(3, 6))
    assert model.backward(inputs(3, 4)) is None
    assert model.models[1].W.grad.abs().sum() > 0


def test_mean_squared_error_is_half_of_pytorchs_sum():
    output, target = inputs(3, 4), inputs(3, 4, seed=8)
    for given, dense in ((target, target), (LABELS, F.one_hot(LABELS, 4).double())):
        expected = 0.5 * F.mse_loss(output, dense, reduction="none").sum(dim=1)
        assert_close(MSELoss()(output, given), expected)


def test_cross_entropy_learns_where_squared_error_on_probabilities_is_stuck():
    # Confidently wrong: the squared error's gradient has vanished, the cross-entropy's is near its largest.
    logits, y = torch.tensor([[20.0, -20.0]], dtype=torch.float64), torch.tensor([1])
    softmax, squared, cross = Softmax(), MSELoss(), CrossEntropy()
    squared(softmax(logits), y)
    cross(logits, y)
    assert softmax.backward(squared.backward()).abs().max() < 1e-16
    assert cross.backward().abs().max() > 0.999


def test_training_needs_no_autograd(blobs):
    with torch.inference_mode():
        learner = manual.build(20, 4, lr=0.1, momentum=0.9, weight_decay=0.01, device=CPU)
        train_iter = BatchIterator(*blobs, 64, seed=0, device=CPU)
        for _ in range(3):
            train_epoch(learner.net, train_iter, learner.loss, learner.updater, learner.backward)
        assert learner.W.is_inference()
        assert evaluate(learner.net, train_iter, learner.loss)[1] > 0.9
