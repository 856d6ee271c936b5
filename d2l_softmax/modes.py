"""The modes by name: a new mode is one new file and one line here."""

from d2l_softmax import concise, manual, scratch

MODES = {
    "scratch": scratch.build,
    "concise": concise.build,
    "manual": manual.build,
}
