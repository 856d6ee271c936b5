# My GPU was tiny, so: gradient accumulation. Overkill for 7850 parameters but good to learn it here.
from itertools import islice
import torch
from torch import nn

net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def init_weights(m):
    if type(m) == nn.Linear:
        nn.init.normal_(m.weight, std=0.01)
        nn.init.constant_(m.bias, 0.)


net.apply(init_weights)

criterion = nn.CrossEntropyLoss(reduction="sum")
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
ACCUMULATE = 4


def groups(loader, k):
    it = iter(loader)
    while True:
        g = list(islice(it, k))
        if not g:
            return
        yield g


def train_epoch(net, train_iter, loss, optimizer, accumulate=ACCUMULATE):
    """One optimizer step for `accumulate` loader batches; every example counts the same,
    also in the last, shorter group."""
    net.train()
    loss_sum = n_total = n_right = 0
    for group in groups(train_iter, accumulate):
        n_group = sum(y.size(0) for _, y in group)
        optimizer.zero_grad()
        for X, y in group:
            out = net(X)
            l = loss(out, y)
            l.div(n_group).backward()
            loss_sum += l.item()
            n_right += out.argmax(1).eq(y).sum().item()
        optimizer.step()
        n_total += n_group
    return loss_sum / n_total, n_right / n_total


@torch.inference_mode()
def evaluate_accuracy(net, data_iter):
    net.eval()
    ok = torch.cat([net(X).argmax(1) == y for X, y in data_iter])
    return ok.double().mean().item()


def run(train_iter, test_iter, num_epochs=10):
    for e in range(num_epochs):
        l, a = train_epoch(net, train_iter, criterion, optimizer)
        print(f"{e:2d}  {l:.4f}  {a:.4f}  {evaluate_accuracy(net, test_iter):.4f}")
