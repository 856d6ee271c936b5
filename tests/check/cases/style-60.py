# layers that give their optimizer pairs of a parameter and its gradient, which is added up until it is cleared
import torch


class FullyConnected:
    def __init__(self, inputs=784, outputs=10):
        self.weight = 0.01 * torch.randn(inputs, outputs)
        self.offset = torch.zeros(outputs)
        self.d_weight, self.d_offset = torch.zeros(inputs, outputs), torch.zeros(outputs)

    def forward(self, batch):
        self.batch = batch.reshape(len(batch), -1)
        return torch.addmm(self.offset, self.batch, self.weight)

    def backward(self, above):
        self.d_weight.add_(self.batch.T.mm(above))
        self.d_offset.add_(above.sum(dim=0))

    def parameters(self):
        return [(self.weight, self.d_weight), (self.offset, self.d_offset)]


class LogLoss:
    def forward(self, scores, labels):
        self.shares, self.labels = scores.softmax(dim=1), labels
        return scores.logsumexp(dim=1).sub(scores.gather(1, labels.view(-1, 1)).squeeze(1)).mean()

    def backward(self):
        above = self.shares.clone()
        above[torch.arange(len(above)), self.labels] -= 1.0
        return above / len(above)


class Descent:
    def __init__(self, pairs, lr):
        self.pairs, self.lr = pairs, lr

    def clear(self):
        for _, gradient in self.pairs:
            gradient.fill_(0.0)

    def step(self):
        for parameter, gradient in self.pairs:
            parameter.sub_(self.lr * gradient)


def train_epoch(layer, criterion, optimizer, batches):
    total = seen = 0
    for images, labels in batches:
        optimizer.clear()
        loss = criterion.forward(layer.forward(images), labels)
        layer.backward(criterion.backward())
        optimizer.step()
        total, seen = total + float(loss) * len(labels), seen + len(labels)
    return total / seen
