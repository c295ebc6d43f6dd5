"""Strokes that are no digits: letters, signs and scribbles, so that networks learn to leave open what nobody can say.

What hands write much as a digit is left out: B, D, I, L, O, P, S, T, U, Y, Z, b, g, h, l, q, r, s, y, z, ? and others.
"""

from functools import cache

import numpy as np

from digit_core.synthetic import Ways, read_ways, write

# Ways of writing, as in `synthetic.WAYS`.
SIGNS = """
A 10  1595 5005! 8595 | 3060 7060
E 10  8008 2008! 2092! 8092 | 2050 6550
E  5  7515 4005 2525 4548 2570 4595 8085
F 10  2505 2595 | 2508 8008 | 2548 6548
H 10  2005 2095 | 8005 8095 | 2050 8050
K 10  2505 2595 | 7508 2852! 7895
M 10  1095 1805! 5065! 8205! 9095
N 10  2095 2005! 8095! 8005
R 10  2595 2505 | 2506 6505 8025 6048 2850! 8095
V  8  1005 5095! 9005
W 10  0505 2595! 5030! 7595! 9505
X 10  1505 8595 | 8505 1595
d  5  8005 8095 | 7855 5045 2060 3590 6590 8070
e 10  2058 8055 7030 4528 2055 3590 8082
f  8  7515 5505 4525 4595 | 2545 7045
k  8  2505 2595 | 7045 2870! 7595
m 10  1595 1530 | 1545 3030 4550 4595 | 4550 6532 8050 8095
n  8  2595 2530 | 2550 5030 7545 7595
t  8  5005 4580 6095 7588 | 2535 7535
w  8  1035 3090! 5045! 7090! 9035
x  8  2035 8095 | 8035 2095
plus 8  5010 5090 | 1050 9050
equals 8  1535 8535 | 1565 8565
hash 10  3505 2595 | 7005 6095 | 1035 9035 | 1065 9065
asterisk 10  5010 5090 | 1530 8570 | 8530 1570
tilde 8  0555 2535 5055 7570 9545
tick 10  1050 4090! 9510
star 10  5005 3050 2595! 8545! 1545! 7595! 5005
arrow 10  0550 9050 | 6525 9050! 6575
square 10  1515 8515! 8585! 1585! 1515
percent 10  8505 1595 | 2510 1025 2535 4025 2510 | 7565 6080 7595 9080 7565
at 10  6040 4040 4060 6062 6540 6570 8555 6015 2520 1050 2585 6095 8588
heart 6  5090 1050 1520 4015 5035! 6015 8520 9050 5090
smiley 10  3020 3025 | 7020 7025 | 1565 3085 5090 7085 8565
ampersand 10  8595 3035 4010 6015 5540 2060 2585 5095 8565
"""
SCRIBBLES = 0.5  # the share of scribbles; the rest are signs


def scribble(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Draw something that is no digit: strokes, each `(K, 2) float64`, y down, in a box of about 1 x 1."""
    if rng.random() < SCRIBBLES:
        return (_wander, _zigzag, _spiral, _hatch)[int(rng.integers(4))](rng)
    return write(_signs()[int(rng.integers(len(_signs())))], rng)


@cache
def _signs() -> list[Ways]:
    return list(read_ways(SIGNS).values())


def _smooth(controls: np.ndarray) -> np.ndarray:
    """A curve near the controls `(K, 2)`, by cutting their corners three times (Chaikin 1974)."""
    for _ in range(3):
        ends = controls[:1], controls[-1:]
        near, far = 0.75 * controls[:-1] + 0.25 * controls[1:], 0.25 * controls[:-1] + 0.75 * controls[1:]
        controls = np.concatenate([ends[0], np.stack([near, far], axis=1).reshape(-1, 2), ends[1]])
    return controls


def _wander(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """A pen that goes anywhere, with up to three strokes."""
    return tuple(_smooth(rng.random((int(rng.integers(6, 16)), 2))) for _ in range(int(rng.integers(1, 4))))


def _zigzag(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """A crossing-out: to and fro, and on."""
    count = int(rng.integers(6, 16))
    along = np.linspace(0, 1, count)
    across = np.where(np.arange(count) % 2, 1.0, 0.0) * rng.uniform(0.3, 1.0) + rng.normal(0, 0.06, count)
    points = np.stack([along, across], axis=1)
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = points @ turn
    return (_smooth(points) if rng.random() < 0.6 else points,)


def _spiral(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Round and round, inward, or along a line as one tries a pen."""
    t = np.linspace(0, 1, 80)
    turns = rng.uniform(2.2, 5) * 2 * np.pi * rng.choice([-1, 1])
    radius = (1 - t) * 0.5 if rng.random() < 0.5 else np.full(80, 0.25)
    drift = rng.uniform(0.3, 1.5) * t if radius[-1] else 0 * t
    return (np.stack([radius * np.cos(turns * t) + drift, radius * rng.uniform(0.5, 1) * np.sin(turns * t)], axis=1),)


def _hatch(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Several short straight strokes, side by side or anyhow."""
    count = int(rng.integers(3, 8))
    starts = rng.random((count, 2))
    away = rng.normal(0, 0.5, (1 if rng.random() < 0.5 else count, 2))
    return tuple(
        np.stack([start, start + step]) for start, step in zip(starts, np.broadcast_to(away, (count, 2)), strict=True)
    )
