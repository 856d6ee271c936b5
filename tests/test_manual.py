import torch
import torch.nn.functional as F
from torch.testing import assert_close

from d2l_softmax import BatchIterator, evaluate, manual, train_epoch

CPU = torch.device("cpu")


def test_gradients_accumulate_until_zero_grad_and_a_backward_pass_gives_the_same_twice(blobs):
    X, y = next(iter(BatchIterator(*blobs, 64, device=CPU)))
    net, criterion, updater, W, b, *_ = manual.build(20, 4, lr=0.1, device=CPU)
    criterion(net(X), y)
    assert net.backward(criterion.backward()) is None  # what nothing needs is not computed
    once = W.grad.clone(), b.grad.clone()
    net.backward(criterion.backward())
    assert_close((W.grad, b.grad), (2 * once[0], 2 * once[1]))
    updater.zero_grad()
    net.backward(criterion.backward())
    assert_close((W.grad, b.grad), once)


def test_mean_squared_error_is_half_of_pytorchs_sum():
    (output, target), labels = torch.randn(2, 3, 4), torch.tensor([0, 3, 1])
    for given, dense in ((target, target), (labels, F.one_hot(labels, 4))):
        expected = 0.5 * F.mse_loss(output, dense, reduction="none").sum(dim=1)
        assert_close(manual.MSELoss()(output, given), expected)


def test_training_needs_no_autograd(blobs):
    with torch.inference_mode():
        learner = manual.build(20, 4, lr=0.1, momentum=0.9, weight_decay=0.01, device=CPU)
        train_iter = BatchIterator(*blobs, 64, seed=0, device=CPU)
        for _ in range(3):
            train_epoch(learner.net, train_iter, learner.loss, learner.updater, learner.backward)
        assert learner.W.is_inference()
        assert evaluate(learner.net, train_iter, learner.loss)[1] > 0.9
