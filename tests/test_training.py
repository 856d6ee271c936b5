import re

import pytest
import torch
from torch import nn

from d2l_softmax import (
    MODES,
    Accumulator,
    BatchIterator,
    DivergedError,
    accuracy,
    cross_entropy,
    cross_entropy_of_probabilities,
    evaluate,
    evaluate_accuracy,
    softmax,
    train,
    train_epoch,
)
from tests import oracle

CPU = torch.device("cpu")


def test_accumulator_adds_resets_and_reads_exactly_and_keeps_no_graph():
    value, sums = torch.tensor(2.5, requires_grad=True), Accumulator(3)
    sums.add(1, value, torch.tensor(2**24))
    sums.add(torch.tensor(10), 0.5, torch.tensor(1))
    assert [sums[i] for i in range(3)] == [11.0, 3.0, 2**24 + 1]
    assert value.item() == 2.5
    assert not sums.data[1].requires_grad
    sums.reset()
    assert [sums[i] for i in range(3)] == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="argument"):
        sums.add(1)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_accuracy_counts_scores_and_class_indices(dtype):
    y = torch.tensor([0, 2], dtype=dtype)
    assert accuracy(torch.tensor([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]]), y) == 1
    assert [accuracy(torch.tensor(predicted), y) for predicted in ([1, 0], [0, 1], [0, 2])] == [0, 1, 2]
    logits = torch.eye(3)[torch.tensor([[0, 0], [1, 2]])]  # of two learners for each sample
    assert accuracy(logits, y.unsqueeze(1).expand(2, 2)).tolist() == [1, 2]


@pytest.mark.parametrize(("y_hat", "y"), [((4, 3), (4, 1)), ((4, 3), (5,)), ((4, 1), (4, 4)), ((4,), (4, 1))])
def test_accuracy_refuses_labels_that_would_broadcast(y_hat, y):
    with pytest.raises(ValueError, match=re.escape(f"got y_hat {y_hat} and y {y}")):
        accuracy(torch.zeros(y_hat), torch.zeros(y, dtype=torch.int64))


def test_evaluation_is_the_mean_over_samples_whatever_the_batches_and_changes_nothing(blobs):
    learner = MODES["concise"](20, 4, lr=0.1, generator=torch.Generator().manual_seed(1), device=CPU)
    W, expected = learner.W.clone(), oracle.evaluate(learner.W, learner.b, *blobs)
    for batch_size in (7, 64, 5000):
        data_iter = BatchIterator(*blobs, batch_size, device=CPU)
        assert evaluate(learner.net, data_iter, learner.loss) == pytest.approx(expected, rel=1e-5)
        assert evaluate_accuracy(learner.net, data_iter) == pytest.approx(expected[1])
    assert torch.equal(learner.W, W)
    assert all(p.grad is None for p in learner.parameters())


@pytest.mark.parametrize(("dtype", "largest"), [(torch.float16, 6e4), (torch.bfloat16, 3e38), (torch.float32, 3e38)])
def test_losses_whose_sum_their_type_cannot_hold_are_added_up_in_float64(dtype, largest):
    losses = torch.tensor([largest, largest, 1.0, 3.0]).to(dtype).repeat(5000)
    data_iter = [(losses[part], torch.zeros(len(losses[part]))) for part in (slice(0, 15000), slice(15000, None))]
    mean, _ = evaluate(lambda X: X, data_iter, lambda logits, _: logits)
    assert mean == pytest.approx(losses.double().mean().item(), rel=1e-12)


def test_a_module_trains_in_train_mode_and_is_evaluated_in_eval_mode(blobs):
    seen, net, data_iter = [], nn.Sequential(nn.Flatten(), nn.Linear(20, 4)), BatchIterator(*blobs, 700, device=CPU)
    net.register_forward_hook(lambda *_: seen.append(net.training))
    net.eval()
    train_epoch(net, data_iter, cross_entropy, torch.optim.SGD(net.parameters(), lr=0.1))
    assert not net.training
    net.train()
    evaluate(net, data_iter, cross_entropy)
    evaluate_accuracy(net, data_iter)
    assert net.training
    assert seen == [True, False, False]


@pytest.fixture
def batches(blobs):
    """11 batches, of which the last has 60 of the 700 samples."""
    return list(BatchIterator(*blobs, 64, device=CPU))


def parameters():
    return [torch.zeros(shape, requires_grad=True) for shape in ((20, 4), (4,))]


def linear(W, b):
    return lambda X: X.flatten(1) @ W + b


# PyTorch's own loss returns the mean of the batch, and takes int64 alone.
@pytest.mark.parametrize(
    ("loss", "dtype"),
    [(cross_entropy, torch.int64), (cross_entropy, torch.int32), (nn.CrossEntropyLoss(), torch.int64)],
)
def test_the_books_updater_takes_the_steps_of_torch_optim_sgd(batches, loss, dtype):
    ours, sizes = parameters(), []
    linear_layer, _ = oracle.train(*ours, batches, lr=0.1)

    def sgd(batch_size):
        with torch.no_grad():
            for p in ours:
                p -= 0.1 * p.grad / batch_size
                p.grad.zero_()

    train_epoch(linear(*ours), [(X, y.to(dtype)) for X, y in batches], loss, lambda n: sizes.append(n) or sgd(n))
    assert sizes == [64] * 10 + [60]
    torch.testing.assert_close(ours, [linear_layer.weight.T, linear_layer.bias], rtol=1e-5, atol=1e-7)


def test_what_cannot_be_trained_with_is_refused(batches):
    net, per_row = linear(*parameters()), lambda logits, y: cross_entropy(logits, y).unsqueeze(1)
    with pytest.raises(TypeError, match=r"zero_grad\(\) and step\(\), or be a function of batch_size, got 0.1"):
        train_epoch(net, batches, cross_entropy, 0.1)
    with pytest.raises(ValueError, match=re.escape("per sample, (64,), or their mean, got (64, 1)")):
        evaluate(net, batches, per_row)
    for function, *others in (evaluate, cross_entropy), (train_epoch, cross_entropy, print), (evaluate_accuracy,):
        with pytest.raises(ValueError, match="no samples"):
            function(net, [], *others)


@pytest.mark.parametrize(
    ("net", "loss", "warns"),
    [
        (softmax, cross_entropy, True),
        (softmax, nn.CrossEntropyLoss(), True),
        (softmax, cross_entropy_of_probabilities, False),
        (lambda logits: logits, cross_entropy, False),
    ],
)
def test_probabilities_for_a_loss_that_takes_logits_are_warned_of(batches, net, loss, warns, recwarn):
    W, b = parameters()
    nn.init.normal_(W, generator=torch.Generator().manual_seed(0))
    train_epoch(lambda X: net(linear(W, b)(X)), batches, loss, torch.optim.SGD([W, b], lr=0.1))
    assert [str(said.message).startswith("the network returns probabilities") for said in recwarn] == [True] * warns


def test_train_tells_every_listener_of_every_epoch_until_the_loss_is_not_finite(batches):
    learner = MODES["scratch"](20, 4, lr=0.1, device=CPU)
    heard = []
    arguments = learner.net, batches, batches, learner.loss, 3, learner.updater
    results = train(*arguments, listeners=[heard.append, heard.append])
    assert [result.epoch for result in results] == [1, 2, 3]
    assert heard == [result for result in results for _ in range(2)]
    assert results[2].train_loss < results[0].train_loss
    assert results[2].test_accuracy > 0.9

    def spoil(result):
        learner.W.fill_(float("nan"))
        heard.append(result)

    with pytest.raises(DivergedError, match="epoch 2"):
        train(*arguments, listeners=[spoil])
    assert [result.epoch for result in heard[6:]] == [1]
