"""Small changes to training images that keep the digit: what hands and pens do."""

import cv2
import numpy as np

ROTATION = 12.0  # degrees, at most, either way
STRETCH = 0.12  # of the size, per axis
SHEAR = 0.25  # horizontal shift per row
SHIFT = 1.5  # pixels: inputs are centred by mass, the rest is small
THIN, THICK = 0.3, 0.3  # shares of images drawn with such a pen; the rest keep theirs
BENDS = 1024  # smooth fields that each call draws
GRID = np.stack(np.meshgrid(np.arange(28), np.arange(28)), axis=-1).astype(np.float32)  # (28, 28, 2), x and y
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def augment(images: np.ndarray, rng: np.random.Generator, elastic: float = 0.0) -> np.ndarray:
    """Turn, stretch, slant, shift, thicken or thin each image at random, and bend it (Simard et al. 2003).

    images: `(N, 28, 28) uint8`, ink bright; elastic: pixels that points are moved by along each axis, root mean square
    of the strongest bends. Returns new images of the same shape and dtype.
    """
    count = len(images)
    angle = np.radians(rng.uniform(-ROTATION, ROTATION, count))
    cosine, sine = np.cos(angle), np.sin(angle)
    stretch = rng.uniform(1 - STRETCH, 1 + STRETCH, (count, 2))
    shear = rng.uniform(-SHEAR, SHEAR, count)
    shift = rng.uniform(-SHIFT, SHIFT, (count, 2))
    pen, strength = rng.random((2, count))
    matrices = np.empty((count, 2, 3))
    matrices[:, 0, 0], matrices[:, 0, 1] = cosine * stretch[:, 0], (shear * cosine - sine) * stretch[:, 0]
    matrices[:, 1, 0], matrices[:, 1, 1] = sine * stretch[:, 1], (shear * sine + cosine) * stretch[:, 1]
    centre = np.array([14.0, 14.0])  # pixels, MNIST's centre of mass
    matrices[:, :, 2] = centre + shift - matrices[:, :, :2] @ centre
    out = np.empty_like(images)
    if not elastic:
        for i, image in enumerate(images):
            out[i] = cv2.warpAffine(change_pen(image, pen[i], strength[i]), matrices[i], (28, 28))
        return out
    bends = _draw_bends(rng) * np.float32(elastic)
    chosen, share = rng.integers(len(bends), size=count), rng.random(count).astype(np.float32)
    for i, image in enumerate(images):
        back = cv2.invertAffineTransform(matrices[i]).astype(np.float32)  # for each new place, where it came from
        places = GRID @ back[:, :2].T + back[:, 2]
        places += share[i] * bends[chosen[i]]
        out[i] = cv2.remap(change_pen(image, pen[i], strength[i]), places, None, cv2.INTER_LINEAR)
    return out


def _draw_bends(rng: np.random.Generator) -> np.ndarray:
    """Smooth displacements of each pixel, `(BENDS, 28, 28, 2) float32`, of unit root mean square."""
    bends = np.empty((BENDS, 28, 28, 2), np.float32)
    for i in range(BENDS):
        noise = rng.normal(size=(44, 44, 2)).astype(np.float32)
        smooth = cv2.GaussianBlur(noise, (0, 0), rng.uniform(3.5, 5.5))[8:36, 8:36]
        bends[i] = smooth / np.sqrt(np.mean(smooth**2))
    return bends


def change_pen(image: np.ndarray, pen: float, strength: float) -> np.ndarray:
    """Draw an image `(28, 28) uint8` with a thinner pen, of 0 say, its own, of 0.5, or a thicker one, of 1; strength
    0-1."""
    if pen < THIN:
        return cv2.addWeighted(image, 1 - 0.6 * strength, cv2.erode(image, CROSS), 0.6 * strength, 0)
    if pen > 1 - THICK:
        return cv2.addWeighted(image, 1 - strength, cv2.dilate(image, CROSS), strength, 0)
    return image
