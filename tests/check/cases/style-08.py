import torch
W = torch.nn.Parameter(torch.zeros(10, 784))
b = torch.nn.Parameter(torch.zeros(10))
model = lambda X: torch.nn.functional.linear(X.flatten(1), W, b)
loss_function = torch.nn.CrossEntropyLoss(reduction="none")
trainer = torch.optim.SGD([W, b], lr=0.05, weight_decay=1e-3, momentum=0.5)

def train_epoch(model, data_iter, loss, trainer):
    L = []
    for X, y in data_iter:
        trainer.zero_grad()
        l = loss(model(X), y)
        l.mean().backward()
        trainer.step()
        L.extend(l.tolist())
    return sum(L) / len(L)
