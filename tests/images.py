"""What tests of images share."""

import numpy as np


def likeness(image, other):
    """Correlation of two images, moved by at most a pixel: the centre of mass falls on whole pixels."""
    moved = [np.roll(image, (down, right), (0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return max(np.corrcoef(one.ravel(), other.ravel())[0, 1] for one in moved)
