"""How far a model's word is to be trusted: calibration, answer sets, and whether it tells what is no digit."""

from collections.abc import Mapping

import numpy as np

from digit_core.classifier import Classifier
from digit_core.evaluation import evaluate
from digit_core.measuring import Labelled


def print_trust(
    classifiers: Mapping[str, Classifier], digits: Mapping[str, Labelled], others: Mapping[str, np.ndarray]
) -> None:
    """Print two tables: what models say of digits, and how they tell them from what is none."""
    print(f"\n| of digits | {' | '.join(classifiers)} |\n|---|{'---:|' * len(classifiers)}")
    scores: dict[tuple[str, str], np.ndarray] = {}
    for name, (images, y_true) in digits.items():
        rows: dict[str, list[str]] = {}
        for model_id, classifier in classifiers.items():
            said = classifier.predict_all(images)
            sets = [prediction.answer_set for prediction in said]
            scores[model_id, name] = np.array([prediction.digit_score for prediction in said])
            held = [digit in answers for digit, answers in zip(y_true, sets, strict=True)]
            figures = {
                "calibration error (ECE), %": 100 * evaluate(y_true, np.array([p.probabilities for p in said])).ece,
                "answer sets with the true digit, %": 100 * np.mean(held),
                "digits in an answer set": np.mean([len(s) for s in sets]),
                "taken for no digit, %": 100 * np.mean([not prediction.is_digit for prediction in said]),
            }
            for what, figure in figures.items():
                rows.setdefault(f"{name}: {what}", []).append(f"{figure:.2f}" if "%" in what else f"{figure:.3f}")
        for row, values in rows.items():
            print(f"| {row} | {' | '.join(values)} |", flush=True)

    print("\n| of what is no digit: taken for none, %; AUROC, the lower | " + " | ".join(classifiers) + " |")
    print(f"|---|{'---:|' * len(classifiers)}")
    for kind, images in others.items():
        values = []
        for model_id, classifier in classifiers.items():
            said = classifier.predict_all(images)
            of_others = np.array([prediction.digit_score for prediction in said])
            area = min(auroc(scores[model_id, name], of_others) for name in digits)
            values.append(f"{100 * np.mean([not prediction.is_digit for prediction in said]):.1f}; {area:.3f}")
        print(f"| {kind} | {' | '.join(values)} |", flush=True)


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """The chance that one of the positive scores is above one of the negative (Mann and Whitney 1947)."""
    ordered = np.sort(negative)
    below, up_to = (np.searchsorted(ordered, positive, side) for side in ("left", "right"))
    return float((below + up_to).mean() / 2 / len(negative))
