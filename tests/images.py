"""What tests of images share."""

import io

import numpy as np
from PIL import Image

from digit_core.pictures import read_picture
from digit_core.preprocessing import preprocess
from digit_core.strokes import sketch
from digit_core.synthetic import draw_digit

PEN_SHARE = 0.13  # of the drawing's longest side: about the pen of MNIST
SEVEN = [np.array([(60, 60), (200, 60), (110, 220)], np.float64)]


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
