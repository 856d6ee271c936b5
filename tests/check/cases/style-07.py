import torch
from torch import nn

class LinearSoftmax(nn.Module):
    def __init__(self, in_features=784, out_features=10):
        super().__init__()
        self.W = nn.Parameter(torch.empty(out_features, in_features).normal_(0, 0.01))
        self.b = nn.Parameter(torch.zeros(out_features))

    def forward(self, x):
        x = x.reshape(x.size(0), -1)
        return x @ self.W.t() + self.b

class SGD:
    def __init__(self, params, lr=0.1):
        self.params, self.lr = list(params), lr

    def zero_grad(self):
        for p in self.params:
            p.grad = None

    @torch.no_grad()
    def step(self):
        for p in self.params:
            p -= self.lr * p.grad

class CrossEntropy(nn.Module):
    def forward(self, logits, targets):
        logp = logits - logits.logsumexp(-1, keepdim=True)
        return -logp.gather(-1, targets[:, None]).mean()

model = LinearSoftmax()
criterion = CrossEntropy()
opt = SGD(model.parameters(), lr=0.1)

def train_one_epoch(model, loader, criterion, opt):
    model.train()
    running, n_right, n = 0.0, 0, 0
    for xb, yb in loader:
        opt.zero_grad()
        out = model(xb)
        loss = criterion(out, yb)
        loss.backward()
        opt.step()
        running += loss.item() * xb.size(0)
        n_right += (out.argmax(dim=1) == yb).sum().item()
        n += xb.size(0)
    return {"loss": running / n, "acc": 100.0 * n_right / n}

@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    n_right = n = 0
    for xb, yb in loader:
        n_right += (model(xb).argmax(dim=1) == yb).sum().item()
        n += xb.size(0)
    return 100.0 * n_right / n
