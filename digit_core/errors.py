"""What can go wrong that a person can mend.

DigitError
├── UnreadableInput        a picture, a drawing or a file that cannot be read
│   ├── TooLarge           … because it is larger than allowed
│   ├── UnsupportedType    … because it is of another kind than can be read
│   └── InvalidLabel       … because a label is no digit
├── EmptyDrawing           nothing, or nothing but ink
├── DataUnavailable        a data set that is not on this machine and cannot be fetched
├── ModelUnavailable       a model that is missing, damaged or already there
│   └── NoDefault          … and is the one that reads where none is named
├── InvalidConfig          a training setting outside its range
├── TrainingUnavailable    TensorFlow, or the cluster that trains, cannot be used
├── StorageFailed          a disk that is full or cannot be written
├── FeedbackUnavailable    the feedback database cannot be used
├── FeedbackChanged        an entry is not any more what it was when it was looked at
└── NotAllowed             a password of the operator's that is wrong, or guessed at too often

Each message says what came and what to do. Doors (page, API, command line) catch `DigitError`, once; bugs pass.
"""


class DigitError(Exception):
    """An expected failure, told in a sentence."""


class UnreadableInput(DigitError):
    """The input is not what it should be."""


class TooLarge(UnreadableInput):
    """The input is larger than allowed."""


class UnsupportedType(UnreadableInput):
    """The input is of a kind that is not read."""


class InvalidLabel(UnreadableInput):
    """A label is neither a digit nor nothing."""


class EmptyDrawing(DigitError):
    """There is no ink, or nothing but ink."""


class DataUnavailable(DigitError):
    """A data set is missing, damaged or out of reach."""


class ModelUnavailable(DigitError):
    """A model is missing, damaged, or its name is taken."""


class NoDefault(ModelUnavailable):
    """The model that reads where none is named cannot be loaded."""


class InvalidConfig(DigitError):
    """A training setting is outside its range."""


class TrainingUnavailable(DigitError):
    """TensorFlow, or the cluster that trains, cannot be used."""


class StorageFailed(DigitError):
    """A file could not be written."""


class FeedbackUnavailable(DigitError):
    """The feedback database cannot be used."""


class FeedbackChanged(DigitError):
    """Somebody else has changed an entry."""


class NotAllowed(DigitError):
    """The operator's password is wrong, or was guessed at too often."""
