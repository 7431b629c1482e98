"""Work in several threads, each with its share of the cores."""

import threading
import time

import pytest
import torch

from napari_samhq.inference._side_by_side import side_by_side


@pytest.fixture(params=[1, 2, 3])
def cores(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_items(cores):
    def late_if_even(number):
        time.sleep(0.01 * (number % 2 == 0))
        return number

    assert list(side_by_side(late_if_even, range(12))) == list(range(12))
    assert list(side_by_side(late_if_even, [])) == []


def test_each_has_its_share_of_the_cores_and_others_keep_theirs(cores):
    met = threading.Barrier(cores, timeout=30)

    def share(_):
        met.wait()  # as many at a time as there are cores
        return threading.get_ident(), torch.get_num_threads()

    threads, shares = zip(*side_by_side(share, range(2 * cores)), strict=True)
    assert len(set(threads)) == cores
    assert set(shares) == {1}
    assert torch.get_num_threads() == cores
    elsewhere = []
    thread = threading.Thread(target=lambda: elsewhere.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert elsewhere == [cores]


def test_items_are_taken_only_a_few_ahead_and_leaving_ends_the_work(cores):
    taken, done = [], []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    answers = side_by_side(done.append, items())
    next(answers)
    answers.close()
    assert len(done) <= len(taken) <= cores + 1
    assert not [t for t in threading.enumerate() if t.name.startswith("napari-samhq-prompt")]


def test_an_error_reaches_the_caller_and_nothing_goes_on(cores):
    def failing(number):
        if number == 3:
            raise ValueError("three")
        return number

    answers = side_by_side(failing, range(50))
    assert [next(answers) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(answers)
    assert not [t for t in threading.enumerate() if t.name.startswith("napari-samhq-prompt")]
