from __future__ import annotations
import torch
from torch import nn, Tensor
from torch.utils.data import DataLoader, TensorDataset

class LogisticRegression(nn.Module):
    def __init__(self, input_dim: int = 784, output_dim: int = 10) -> None:
        super().__init__()
        self.linear = nn.Linear(input_dim, output_dim, bias=True)
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.view(-1, 784))

torch.manual_seed(0)
model = LogisticRegression()
criterion = nn.CrossEntropyLoss(reduction="mean")
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
fake = TensorDataset(torch.rand(64, 1, 28, 28), torch.randint(0, 10, (64,)))
train_loader = DataLoader(fake, batch_size=16, shuffle=True)

def train_one_epoch(loader: DataLoader) -> float:
    model.train()
    running_loss = 0.0
    for images, labels in loader:
        optimizer.zero_grad(set_to_none=True)
        outputs = model(images)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item() * images.size(0)
    return running_loss / len(loader.dataset)

@torch.no_grad()
def accuracy(loader: DataLoader) -> float:
    model.eval()
    correct = total = 0
    for images, labels in loader:
        _, predicted = torch.max(model(images), 1)
        total += labels.size(0)
        correct += (predicted == labels).sum().item()
    return 100 * correct / total

for epoch in range(2):
    print(epoch, train_one_epoch(train_loader), accuracy(train_loader))
