import pytest
import torch
from torch import nn

from d2l_softmax import (
    MODES,
    Accumulator,
    BatchIterator,
    DivergedError,
    accuracy,
    evaluate,
    evaluate_accuracy,
    train,
    train_epoch,
)

CPU = torch.device("cpu")


def test_accumulator_adds_resets_and_reads():
    sums = Accumulator(3)
    sums.add(1, 2.5, torch.tensor(3))
    sums.add(torch.tensor(10), 0.5, 4)
    assert [sums[i] for i in range(3)] == [11.0, 3.0, 7.0]
    sums.reset()
    assert [sums[i] for i in range(3)] == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="argument"):
        sums.add(1)


def test_accumulator_counts_exactly_beyond_float32_keeps_no_graph_and_changes_nothing():
    value, sums = torch.tensor(1.0, requires_grad=True), Accumulator(2)
    sums.add(torch.tensor(2**24), value)
    sums.add(torch.tensor(1), value)
    assert sums[0] == 2**24 + 1
    assert value.item() == 1.0
    assert not sums.data[1].requires_grad


def test_accuracy_counts_scores_and_class_indices():
    y = torch.tensor([0, 2])
    assert accuracy(torch.tensor([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]]), y) == 1
    assert accuracy(torch.tensor([0, 1]), y) == 1
    assert accuracy(torch.tensor([0, 2]), y) == 2


def test_evaluation_is_the_mean_over_samples_whatever_the_batches(blobs):
    learner = MODES["scratch"](20, 4, lr=0.1, generator=torch.Generator().manual_seed(1), device=CPU)
    images, y = blobs
    logits = images.double().div(255).flatten(1) @ learner.W.double() + learner.b.double()
    loss = nn.functional.cross_entropy(logits, y).item()
    correct = (logits.argmax(dim=1) == y).double().mean().item()
    for batch_size in (1, 64, 700, 5000):
        data_iter = BatchIterator(images, y, batch_size, device=CPU)
        assert evaluate(learner.net, data_iter, learner.loss) == pytest.approx((loss, correct), rel=1e-5)
        assert evaluate_accuracy(learner.net, data_iter) == pytest.approx(correct)


def test_a_module_trains_in_train_mode_and_is_evaluated_in_eval_mode(blobs):
    seen = []

    class Watched(nn.Linear):
        def forward(self, X):
            seen.append(self.training)
            return super().forward(X.flatten(1))

    net = Watched(20, 4)
    data_iter = BatchIterator(*blobs, 700, device=CPU)
    loss = nn.CrossEntropyLoss(reduction="none")
    net.eval()
    train_epoch(net, data_iter, loss, torch.optim.SGD(net.parameters(), lr=0.1))
    assert seen == [True]
    assert not net.training
    net.train()
    evaluate(net, data_iter, loss)
    evaluate_accuracy(net, data_iter)
    assert seen == [True, False, False]
    assert net.training


def test_evaluation_changes_nothing(blobs):
    learner = MODES["concise"](20, 4, lr=0.1, device=CPU)
    before = learner.W.clone()
    evaluate(learner.net, BatchIterator(*blobs, 64, device=CPU), learner.loss)
    assert torch.equal(learner.W, before)
    assert all(p.grad is None for p in learner.parameters())


def test_an_empty_iterator_is_an_error():
    learner = MODES["scratch"](20, 4, lr=0.1, device=CPU)
    with pytest.raises(ValueError, match="no samples"):
        evaluate(learner.net, [], learner.loss)
    with pytest.raises(ValueError, match="no samples"):
        train_epoch(learner.net, [], learner.loss, learner.updater)


def test_train_tells_every_listener_of_every_epoch(blobs):
    learner = MODES["scratch"](20, 4, lr=0.1, device=CPU)
    data_iter = BatchIterator(*blobs, 64, seed=0, device=CPU)
    heard = []
    results = train(
        learner.net, data_iter, data_iter, learner.loss, 3, learner.updater, listeners=[heard.append, heard.append]
    )
    assert [result.epoch for result in results] == [1, 2, 3]
    assert heard == [result for result in results for _ in range(2)]
    assert results[2].train_loss < results[0].train_loss
    assert results[2].test_accuracy > 0.9


def test_a_loss_that_is_not_finite_ends_training_and_names_the_epoch(blobs):
    learner = MODES["scratch"](20, 4, lr=1e20, weight_decay=1e20, device=CPU)
    data_iter = BatchIterator(*blobs, 64, device=CPU)
    with pytest.raises(DivergedError, match="epoch 1"):
        train(learner.net, data_iter, data_iter, learner.loss, 3, learner.updater)
