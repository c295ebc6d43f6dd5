import numpy as np
import pytest

from digit_core.architectures import build_network, make_reader
from digit_core.bank import Bank
from digit_core.classifier import Network, load_classifier
from digit_core.digit_score import learn_digit_score
from digit_core.model_store import STARTER_IDS, save_network
from digit_core.scribbles import SHARES, scribble
from digit_core.settings import read_settings
from digit_core.strokes import render
from digit_core.synthetic import draw_digit
from digit_core.types import TrainConfig

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras under NumPy 2.4


def draw(count, kind=None, seed=0):
    rng = np.random.default_rng(seed)
    return np.array([render(scribble(rng, kind) if kind else draw_digit(i % 10, rng)) for i in range(count)])


@pytest.fixture(scope="module")
def small_bank():
    return Bank(draw(1600, seed=1), np.arange(1600) % 10, draw(600, "scribbles", seed=2))


def test_a_judge_learns_to_tell_digits_from_scribbles_and_the_reader_answers_as_before(small_bank, tmp_path):
    network = build_network(TrainConfig("ann", hidden_units=(64,)))
    reader = make_reader(network)
    known, shares = draw(200, seed=3), []
    judge = learn_digit_score(
        reader, small_bank, known, np.arange(200) % 10, [draw(400, seed=4)], on_progress=shares.append
    )
    assert shares == sorted(shares) and 0 < shares[0] < 0.2 and shares[-1] == 1
    save_network(network, reader, judge, tmp_path)
    served = Network((tmp_path / "model.tflite").read_bytes())
    digits, scribbles = draw(300, seed=5), draw(300, "scribbles", seed=6)
    answers, of_digits = served.judge(digits)
    of_scribbles = served.judge(scribbles)[1]
    assert ((of_digits >= 0) & (of_digits <= 1)).all()
    assert (of_digits >= 0.5).mean() > 0.98  # even of a network that has learned nothing
    assert np.median(of_digits) > np.median(of_scribbles)
    assert (of_scribbles < 0.5).mean() > 0.3
    np.testing.assert_array_equal(answers, served.probabilities(digits))
    expected = reader.predict(digits[..., None] / np.float32(255), verbose=0)[1]
    np.testing.assert_allclose(answers, expected, atol=2e-2)


def test_the_same_seed_learns_the_same(small_bank):
    reader = make_reader(build_network(TrainConfig("ann", hidden_units=(16,))))
    known, validating = draw(100, seed=3), draw(100, seed=4)
    first, again = (
        learn_digit_score(reader, small_bank, known, np.arange(100) % 10, [validating], seed=7) for _ in range(2)
    )
    for one, other in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("model_id", STARTER_IDS)
@pytest.mark.parametrize("kind", SHARES)
def test_the_starters_turn_away_what_is_no_digit(model_id, kind):
    said = load_classifier(model_id, read_settings()).predict_all(draw(200, kind, seed=8))
    much_like_digits = kind in ("characters", "pairs", "sideways")
    assert np.mean([not prediction.is_digit for prediction in said]) > (0.75 if much_like_digits else 0.9)


@pytest.mark.parametrize("model_id", STARTER_IDS)
def test_the_starters_take_digits_for_digits(model_id):
    said = load_classifier(model_id, read_settings()).predict_all(draw(500, seed=9))
    assert np.mean([prediction.is_digit for prediction in said]) > 0.98
    assert all(prediction.is_digit == (prediction.digit_score >= 0.5) for prediction in said)


def test_what_the_network_was_told_is_no_digit_is_learned_from_too():
    reader = make_reader(build_network(TrainConfig("ann", hidden_units=(64,))))
    bank = Bank(draw(1200, seed=1), np.arange(1200) % 10, draw(50, "scribbles", seed=2))
    known, numbers = draw(600, seed=3), draw(600, "numbers", seed=4)
    images, labels = np.concatenate([known, numbers]), np.repeat([0, -1], 600)
    told, untold = (
        learn_digit_score(reader, bank, images[:count], labels[:count], [draw(300, seed=5)]) for count in (1200, 600)
    )
    others = draw(300, "numbers", seed=6)[..., None] / np.float32(255)
    away = [(judge.predict(reader.predict(others, verbose=0), verbose=0) < 0.5).mean() for judge in (told, untold)]
    assert away[0] > away[1] + 0.3


def test_the_kind_of_digits_that_is_hardest_to_tell_sets_the_threshold(small_bank):
    reader = make_reader(build_network(TrainConfig("ann", hidden_units=(64,))))
    easy, hard = draw(300, seed=4), draw(300, "sideways", seed=5)
    known = draw(200, seed=3), np.arange(200) % 10
    seen = reader.predict(hard[..., None] / np.float32(255), verbose=0)
    away = [
        (learn_digit_score(reader, small_bank, *known, kinds).predict(seen, verbose=0) < 0.5).mean()
        for kinds in ([easy], [easy, hard])
    ]
    assert away[0] > 0.02 > away[1]
