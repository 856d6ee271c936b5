# Softmax-Regression von Hand, Übungsblatt 4
import torch

LERNRATE, STAPEL, KLASSEN, PIXEL = 0.2, 128, 10, 28 * 28
MITTEL, STREUUNG = 0.2860, 0.3530


def normiere(bilder):
    """uint8 0..255 oder float 0..1 -> ungefähr Mittel 0, Streuung 1 (wird vor dem Netz aufgerufen)"""
    if bilder.dtype == torch.uint8:
        bilder = bilder.to(torch.get_default_dtype()) / 255
    return (bilder - MITTEL) / STREUUNG


gewichte = {
    "W": torch.randn(PIXEL, KLASSEN) * 0.01,
    "b": torch.zeros(1, KLASSEN),
}
for g in gewichte.values():
    g.requires_grad_(True)
W, b = gewichte["W"], gewichte["b"]


def softmax(x):
    groesste = x.max(dim=1, keepdim=True)[0].detach()
    zaehler = torch.exp(x - groesste)
    nenner = zaehler.sum(dim=1).view(-1, 1)
    return zaehler / nenner


def netz(x):
    return softmax(torch.matmul(x.reshape(len(x), PIXEL), W) + b)


def kreuzentropie(vorhersage, wahr):
    ziel = torch.zeros_like(vorhersage)
    ziel[range(len(wahr)), wahr] = 1
    return -(ziel * torch.log(vorhersage)).sum(dim=1)


class Messung:
    def __init__(self):
        self.verlust, self.treffer, self.anzahl = 0.0, 0, 0

    def notiere(self, vorhersage, wahr, verlust=None):
        self.treffer += int((vorhersage.argmax(dim=1) == wahr).sum())
        self.anzahl += len(wahr)
        if verlust is not None:
            self.verlust += float(verlust.sum())

    def genauigkeit(self):
        return self.treffer / self.anzahl

    def mittlerer_verlust(self):
        return self.verlust / self.anzahl


def abstieg(parameter, lernrate, stapel):
    for p in parameter:
        p.data = p.data - lernrate * p.grad.data / stapel
        p.grad.data.zero_()


def aktualisiere(stapel):
    abstieg(gewichte.values(), LERNRATE, stapel)


def bewerte(netz, daten):
    m = Messung()
    with torch.no_grad():
        for x, wahr in daten:
            m.notiere(netz(x), wahr)
    return m.genauigkeit()


def epoche(netz, daten, verlustfunktion, aktualisiere):
    m = Messung()
    for x, wahr in daten:
        aus = netz(x)
        v = verlustfunktion(aus, wahr)
        v.sum().backward()
        aktualisiere(len(wahr))
        m.notiere(aus, wahr, v)
    return m.mittlerer_verlust(), m.genauigkeit()


net, cross_entropy, sgd, updater = netz, kreuzentropie, abstieg, aktualisiere
train_epoch, evaluate_accuracy, lr, batch_size = epoche, bewerte, LERNRATE, STAPEL
