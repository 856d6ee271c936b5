from d2l_softmax.midway import Midway


def test_the_action_comes_after_every_nth_step_over_all_passes():
    happened = []
    data_iter = Midway([1, 2, 3, 4, 5], 2, lambda step: happened.append(f"action {step}"))
    assert len(data_iter) == 5
    for _ in range(2):
        for batch in data_iter:
            happened.append(f"step on {batch}")
    assert happened == [
        "step on 1", "step on 2", "action 2", "step on 3", "step on 4", "action 4", "step on 5",
        "step on 1", "action 6", "step on 2", "step on 3", "action 8", "step on 4", "step on 5", "action 10",
    ]  # fmt: skip
