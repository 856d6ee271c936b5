# a script that takes its settings from the command line
import torch
from torch import nn
from torch.nn import functional as F


class Classifier(nn.Module):
    def __init__(self, pixels=28 * 28, classes=10):
        super().__init__()
        self.pixels = pixels
        self.out = nn.Linear(pixels, classes)

    def forward(self, images):
        return F.log_softmax(self.out(images.view(-1, self.pixels)), dim=-1)


def train(args, model, device, loader, optimizer, epoch):
    model.train()
    for step, (images, labels) in enumerate(loader):
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = F.nll_loss(model(images), labels)
        loss.backward()
        optimizer.step()
        if step % args.log_interval == 0:
            print(f"epoch {epoch}, {step * len(images)} of {len(loader.dataset)}: {loss.item():.4f}")
            if args.dry_run:
                break


def test(args, model, device, loader):
    model.eval()
    right = 0
    with torch.no_grad():
        for images, labels in loader:
            scores = model(images.to(device))
            right += scores.argmax(dim=1).eq(labels.to(device)).sum().item()
            if args.dry_run:
                break
    return 100.0 * right / len(loader.dataset)


model = Classifier()
optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
