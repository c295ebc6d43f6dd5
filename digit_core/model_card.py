"""A model's card: what it is, what it learned from, how well it reads and what it is for, in Markdown."""

from digit_core.exams import Marks
from digit_core.types import FOR_ANN, FOR_CNN, Evaluation, ModelInfo, TrainConfig

SOURCES = {
    "mnist": "[MNIST](http://yann.lecun.com/exdb/mnist/), training images. Yann LeCun, Corinna Cortes, Christopher "
    "Burges. CC BY-SA 3.0.",
    "pen-digits": "[Pen-Based Recognition of Handwritten Digits](https://archive.ics.uci.edu/dataset/81), UCI Machine "
    "Learning Repository, writers 1 to 20 of its training part. E. Alpaydin and F. Alimoglu, 1998, doi "
    "10.24432/C5MG6K. CC BY 4.0.",
    "synthetic": "Digits drawn by the program itself.",
    "scribbles": "Letters, signs, numbers, characters of no script and scribbles, which are no digits, drawn by the "
    "program itself.",
    "feedback": "Drawings of people who used this Digit Lab, with what they said of them.",
}
PARTS = {"drawings": ("pen-digits", "synthetic", "scribbles")}  # of a data set, where it is not its own
PURPOSE = (
    "**For** reading single digits that people draw with mouse, finger or pen, or photograph. **Not for** postal "
    "codes, cheques, marks or anything where a wrong digit does harm unseen; not for several digits at once, other "
    "numerals or print."
)


def list_sources(info: ModelInfo) -> list[str]:
    """What a model learned from, a line of Markdown each, with who made it and under which licence."""
    if info.imported:
        return ["It was made elsewhere: what it learned from is not known here."]
    names = [part for name in info.dataset.split("+") for part in PARTS.get(name, (name,))]
    if info.config.base_model_id:
        names += ["synthetic", "pen-digits"]  # the images of old that corrections are mixed with
    lines = [SOURCES[name] for name in dict.fromkeys(names) if name in SOURCES]
    if info.config.base_model_id:
        lines.append(
            f"Of these, what was at hand. It began as `{info.config.base_model_id}`, whose own card names what it had "
            "learned from."
        )
    if info.config.teacher_id:
        lines.append(f"Half of what it learned is what `{info.config.teacher_id}` answers (distillation).")
    return lines


def list_settings(config: TrainConfig) -> dict[str, str]:
    """The settings of a training, in words, by name.

    Those that its kind of network does not read are left out, and whom it learned from: a card names no person.
    """
    left_out = {*(FOR_CNN if config.architecture == "ann" else FOR_ANN), "visitor"}
    return {
        name: tell_value(value) for name, value in vars(config).items() if value is not None and name not in left_out
    }


def list_figures(info: ModelInfo, evaluation: Evaluation, stress: Marks | None) -> dict[str, str]:
    """A model's figures in words, with their units.

    evaluation: on its test images; stress: how it did on the stress drawings, if that is known.
    """
    figures = {
        f"Right on {evaluation.support.sum():,} {info.tested_on} test images": f"{100 * evaluation.accuracy:.2f} %",
        "Worst digit among them": f"{int(evaluation.recall.argmin())}, {100 * evaluation.recall.min():.2f} %",
        "Loss on them": f"{evaluation.loss:.4f} nats",
        "Calibration error on them": f"{100 * evaluation.ece:.2f} %",
    }
    if not info.imported:
        harder = ", on images made harder for it" if info.config.augment or info.config.dropout else ""
        figures[f"Right while it trained{harder}"] = f"{100 * info.train_accuracy:.2f} %"
    if stress:
        figures["Right on 400 stress drawings"] = f"{100 * stress.accuracy:.2f} %"
        figures["Time for an image, where this was written"] = f"{stress.ms:.2f} ms"
    return figures | {
        "Parameters": f"{info.parameters:,}",
        "Size of the network that serves": f"{info.size_bytes / 1000:,.0f} KB",
    }


def write_card(info: ModelInfo, evaluation: Evaluation, stress: Marks | None = None) -> str:
    """Write a model's card, with what `list_figures` tells."""
    figures = list_figures(info, evaluation, stress)
    lines = [
        f"# `{info.model_id}`",
        f"A network ({'convolutional' if info.architecture == 'cnn' else 'dense'}) that reads one handwritten digit, 0 "
        "to 9, from a 28 × 28 image made by Digit Lab's preprocessing. Made on "
        f"{info.created_at:%Y-%m-%d}, with {', '.join(f'{name} {number}' for name, number in info.versions.items())}.",
        "## Figures",
        "\n".join(["| what | figure |", "|---|---:|", *(f"| {name} | {figure} |" for name, figure in figures.items())]),
        "They are of `model.tflite`, which serves and may look at an image several times; `model.keras` looks once.",
        "Stress drawings are digits that the program draws small, bold, tilted, as pictures and as photographs. A "
        "network that learned from such drawings knows their kind."
        if stress
        else "",
        "## Learned from",
        "\n".join(f"- {line}" for line in list_sources(info)),
        "## Settings" if not info.imported else "",
        "\n".join(f"- {name}: {value}" for name, value in list_settings(info.config).items())
        if not info.imported
        else "",
        "## What it is for",
        PURPOSE,
        "Whether a drawing is a digit at all is told by a small network in the file that serves, which learned from "
        "digits and from what is none, drawn by the program.",
        f"Its confidence is calibrated with a temperature of {info.calibration['temperature']:.3f} on images that it "
        f"{'may have learned from, for that is not known here' if info.imported else 'did not learn from'}.",
        "## Files",
        "\n".join(f"- {name}: SHA-256 `{digest}`" for name, digest in info.sha256.items()),
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


def tell_value(value: object) -> str:
    """A setting's value in words."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
