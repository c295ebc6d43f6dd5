"""What tests of images share."""

import io

import numpy as np
from PIL import Image

from digit_core.datasets import make_dataset
from digit_core.pictures import read_picture
from digit_core.preprocessing import preprocess
from digit_core.strokes import sketch
from digit_core.synthetic import draw_digit, draw_digits

PEN_SHARE = 0.13  # of the drawing's longest side: about the pen of MNIST
SEVEN = [np.array([(60, 60), (200, 60), (110, 220)], np.float64)]
HANDWRITING = {  # written by hand, in per cent of a square, y down
    0: [[(50, 5), (22, 18), (12, 50), (24, 84), (50, 95), (78, 82), (88, 50), (78, 18), (48, 5)]],
    1: [[(52, 5), (48, 95)]],
    2: [[(15, 28), (32, 8), (62, 6), (80, 24), (70, 50), (42, 74), (15, 93), (88, 92)]],
    3: [[(18, 15), (45, 5), (75, 15), (70, 38), (45, 48), (75, 58), (80, 80), (50, 95), (18, 85)]],
    4: [[(30, 5), (18, 52), (88, 50)], [(68, 20), (64, 96)]],
    5: [[(28, 8), (25, 45), (55, 40), (80, 62), (70, 85), (42, 95), (15, 85)], [(28, 8), (85, 6)]],
    6: [[(62, 5), (35, 30), (20, 65), (35, 92), (65, 92), (75, 70), (55, 55), (28, 68)]],
    7: [[(15, 10), (82, 10), (45, 95)]],
    8: [[(78, 15), (50, 5), (22, 22), (45, 46), (72, 70), (52, 95), (25, 76), (48, 50), (72, 28), (78, 15)]],
    9: [[(75, 20), (48, 6), (25, 28), (42, 50), (68, 38), (77, 18), (72, 60), (65, 95)]],
}


def draw_dataset(train, test):
    """A small data set of the program's digits."""
    return make_dataset("synthetic", *draw_digits(train, seed=1), *draw_digits(test, seed=2))


def likeness(image, other):
    """Correlation of two images, moved by at most a pixel: the centre of mass falls on whole pixels."""
    moved = [np.roll(image, (down, right), (0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return max(np.corrcoef(one.ravel(), other.ravel())[0, 1] for one in moved)


def encode(picture, file_format="PNG", **options):
    """A picture file of an image of Pillow's, or of an array."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    content = io.BytesIO()
    image.save(content, file_format, **options)
    return content.getvalue()


def read(picture, file_format="PNG", **options):
    """The image, `(28, 28) uint8`, that comes of a picture file."""
    return preprocess(read_picture(encode(picture, file_format, **options)))


def difference(image, other):
    """How far two images are apart in each pixel."""
    return np.abs(image.astype(int) - other.astype(int))


def place(strokes, size, middle, pen=None, side=280):
    """Strokes drawn white on black, `size` pixels in the longer direction, around a place."""
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    at = [(stroke - (low + high) / 2) * size / (high - low).max() + middle for stroke in strokes]
    return sketch(at, pen or max(1, round(PEN_SHARE * size)), side)


def digits(count=10, seed=0):
    """The strokes of so many digits, 0 to 9 and again."""
    rng = np.random.default_rng(seed)
    return [draw_digit(number % 10, rng) for number in range(count)]
