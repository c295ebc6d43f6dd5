"""Digits drawn by the program itself: pen strokes from control-point tables, bent as hands bend them.

Each digit has several ways of writing, weighted toward the American hands of MNIST. A way is a row of control points; a
drawing jitters them, bends, slants and turns the whole, and lays a smooth, slightly shaking curve along them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from digit_core.preprocessing import to_mnist
from digit_core.strokes import SIDE, place, sketch

# Ways of writing: the digit, the way's weight among that digit's ways, and the strokes, parted by `|`. A word `xxyy` is
# a control point in hundredths of the box, y down; `!` makes it a corner.
WAYS = """
0 40  5505 2718 1250 2580 5095 7880 8850 7520 5205
0 15  6510 4505 2025 1260 3090 6092 8568 8535 6512 4010
0 12  4512 2530 1560 3090 6290 8562 8230 6008 4012
0 10  6015 3512 1545 2580 5095 8075 8540 7015 5505
0  8  4828 5008 2520 1250 2580 5095 7880 8850 7520 5206 4020
0  5  5005 7518 8850 7580 5095 2580 1250 2518 5205
0  5  7502 4015 1550 3090 7585 8540 6012 3520
0  4  3035 1260 3080 6085 8862 7838 5028 2835
0  4  6008 3515 1250 3088 7085 8850 7520 5510 3022
0  2  5505 2718 1250 2580 5095 7880 8850 7520 5205 | 8010 2090
1 70  5005 5050 5095
1 10  5005 4650 5095
1 10  3525 5205! 5095
1  6  2825 5205! 5095 | 2595 7595
1  5  3035 5205! 4895
1  3  3022 5505! 4595 | 1595 8592
1  2  5005 5095 | 2595 7595
2 25  1525 3008 6008 7528 6050 4070 1593! 5092 8890
2 25  1525 3508 6508 7328 6055 3585 1590 1068 3065 5582 9092
2 12  1530 3008 6005 7825 6550 4075 2090 2585 5088 8590
2 12  3525 5008 6522 5555 3588 1095 0580 2570 5585 9578
2 12  2528 3008 6005 7025 6555 4588 2095 1275 3065 6085 9588
2 10  3530 2018 4505 7020 6550 4085 2092 1070 3062 6080 9080
2  8  2030 2515 5005 7520 6550 3585 2595 1282 3078 6088 9580
2  8  1510 5008 7815 6545 1592! 8590
2  6  3530 2815 5005 7222 6050 1592! 5588 9592
2  6  3512 5008 6222 5550 4078 1592! 5588 8590
2  6  2525 3508 6508 7025 5050 2575 1590 1075 4075 8080 9578
2  5  2822 5008 7015 6545 3575 1590! 9588
2  4  4530 2522 4506 7022 6550 4088 2088 2870 5080 8590
3 35  1518 4005 7518 6838 4247! 7555 8075 5595 1588
3 25  1815 4505 7520 6540 4048 4548 7560 7582 4595 1585
3 15  1518 5005 7820 6040 3848 5044 7862 7585 4595 1585
3 12  1508 7808! 4540! 7050 8272 5594 1585
3  8  1012 5005 7515 5040! 7555 7080 4595 1090
3  8  2518 4505 6515 5535 4042! 6552 7072 5592 3095
3  8  1520 4505 8010 7030 4545! 7052 7070 5590 3590
3  8  1518 4505 7020 6035 4042 6050 7070 5595 2590 1078
3  8  2515 5505 7515 6035 4545 6550 6570 4590 1595
3  6  1525 4005 7218 6038 4042 4846 6056 6575 4592 1595
3  5  3022 3508 6505 7520 6538 4545 7055 7580 5095 2092 2075
3  4  1512 5005 8525 6042 5545 8560 7588 4095 1085
4 30  2808 2255! 8552 | 7005 6595
4 22  2010 1850 4558 7545 7805! 7050 6595
4 15  2508 1850 4055 8550 | 7505 6595
4 12  6505 1262! 8862 | 6505 6595
4  8  7005 2055! 8555 | 6530 6095
4  6  7005 1255! 7555! 7005! 6595
4  4  4005 1258! 9050 | 6030 5095
5 30  3208 2545! 5040 8060 7585 4595 1585 | 3008 8505
5 25  8506 3208! 2545! 5040 8060 7088 4095 1288
5 20  8010 4510 2530 4545 7060 7082 4594 1585
5 12  3510 2845! 5538 7858 6590 3592 2075 | 3510 8508
5 10  8808 4012! 3548! 6050 6570 5090 1592
5  6  3012 2545! 5542 7260 6085 3095 1585 | 3512 9502
5  6  3505 3040! 5540 7560 6088 3595 2080 3575 | 3508 8005
5  6  8810 4012 3535! 5540 6558 5085 2595
5  5  8508 3010 2030 2545! 5038 7555 6585 3595 1580
5  5  7008 3510 3240! 6048 6575 4595 2085
5  5  2510 2548! 5538 8060 6088 2595 | 2510 8508
6 30  6505 3530 2065 3592 7085 7060 5052 2568
6 20  7512 4510 2045 2580 5595 8075 6555 4055 2570
6 15  4505 2545 2080 5095 7580 6560 4562 2882
6 15  3505 1838 1575 4095 7885 8558 6542 4560 3890
6 10  5505 3540 2575 4095 6580 5565 3575 2888
6 10  2505 1045 1880 5095 8880 8555 6550 4568 4090
6  6  6005 3520 1050 2085 5595 8875 7548 4850 3075
6  6  5505 4035 3570 4095 6085 5870 3580
6  6  3005 1540 2080 5095 8578 8060 5062 3580
7 30  1512 8010! 6050 4595
7 20  1215 4510 7810 7030 5060 4595
7 15  1228 1510! 8008! 4595
7 12  1215 8010! 5545 5095 | 3052 7550
7  8  1515 4008 7515 7535 5595
7  8  1540 1512! 5008 8010! 6545 5595
7  8  1030 2512 4520 8008! 5550 4095
7  6  1520 2510 4518 8005! 6040 5095
7  6  1030 1815 4518 8810! 6045 4595
7  5  2018 3510 6510 6530 5060 4595 | 2560 8048
7  5  1232 1812! 8010! 5548 4595 | 2558 8052
7  5  1530 1812! 7510! 5550 4595 | 2050 8550
7  4  2030 3008 6005 7520 6050 4595
8 35  7815 5005 2520 4543 7268 5595 2575 4550 7228 7512
8 15  5505 2518 4042 7068 5595 2575 4050 7225 5505
8 15  7010 4505 2522 5045 7570 5095 2575 4552 8015
8 12  5005 2825 5048 7225 5005 | 5048 2070 5095 8070 5048
8 10  7020 4505 2025 4550 5875 4595 3278 5050 7825 7508
8  8  9508 5008 3025 5048 6570 4595 2078 4555 9012
8  8  7215 5505 3518 4540 6065 5592 3885 4060 6035 7215
8  8  8010 5505 2015 3540 7565 6592 3595 2075 5050 8515
8  8  6508 4005 3018 4540 6565 5592 3595 2575 5045 8515
8  6  3510 3030 5552 6575 5095 3080 4555 7525 6005 4010
8  6  8020 6005 3010 3530 6555 7080 4595 2580 4055 7530
8  5  6005 3020 4540 7530 6505 5010 4045 2580 5095 7075 5545
9 30  7518 5005 2525 4050 7035 7818! 7055 6595
9 20  7010 4008 2530 4548 7530 7510 6550 5595
9 15  7520 5005 2525 4050 7035 7818 7570 5594 2588
9 15  8012 5005 1530 1848 4052 7035 8012! 7550 7095
9 10  7215 4505 2530 5045 7222 | 7510 7095
9 10  6508 3508 1840 3052 6035 7808! 6550 5595
9 10  8020 6005 3018 2242 4548 7025 8020! 5560 4095
9 10  8508 5008 2522 3042 7030! 6560 5595
9  8  7008 4005 2025 3048 6040 7512! 7550 6595
9  6  7522 5505 3020 3042 6042 7522! 7050 7095
9  6  7025 5508 2515 1040 2570 5575 7540 7510! 7560 8095
9  5  7510 4505 1530 2560 5560 8030 8012! 8060 7595
9  5  7018 5005 3020 4545 7225 7060 5590 2595 2580 4578
"""
PEN_MEDIAN, PEN_SPREAD = 0.12, 0.28  # of the longest side, and of its logarithm: MNIST's spread of ink
BOLD, BOLD_PENS = 0.2, (0.2, 0.42)  # the share of digits drawn as with a thumb, and their pens
LEANING = (0, 0, 0, -0.1, 0.16, 0), (0.18, 0.18, 0.04, 0.2, 0.28, 0.1)  # toward the hands of MNIST
TREMOR = 0.02  # of the box
REPORT = 2_000  # digits between two reports of progress
SHEET, LONGEST = 140, 90  # pixels: the sheet that a digit is drawn on, and the digit's longest side
CATMULL_ROM = np.array([(0, 2, 0, 0), (-1, 0, 1, 0), (2, -5, 4, -1), (-1, 3, -3, 1)]) / 2
B_SPLINE = np.array([(1, 4, 1, 0), (-3, 0, 3, 0), (3, -6, 3, 0), (-1, 3, -3, 1)]) / 6


@dataclass(frozen=True, eq=False)
class Glyph:
    """One way of writing: controls `(C, 2)` in 0-1, curve `(P, C)` that makes pen points of them, cuts between strokes.

    heads and tails index each stroke's first and last control; lengths count each stroke's controls.
    """

    controls: np.ndarray
    curve: np.ndarray
    cuts: np.ndarray
    heads: np.ndarray
    tails: np.ndarray
    lengths: np.ndarray


Ways = tuple[list[Glyph], np.ndarray]  # W glyphs of a sign, and the W - 1 cumulative odds in 0-1 that part them
Leaning = tuple[tuple[float, ...], tuple[float, ...]]  # means and spreads of waist, taper, bow, aspect, slant and turn


def draw_digit(digit: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Write a digit 0-9 in one of its ways: strokes, each `(K, 2) float64`, y down, in a box of about 1 x 1.

    Raises ValueError for another digit.
    """
    if digit not in range(10):
        raise ValueError(f"There is no digit {digit}. Pass one of 0 to 9.")
    return write(_digits()[str(digit)], rng)


def write(ways: Ways, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Write a sign in one of its ways, as a hand would: strokes, each `(K, 2) float64`, y down, in a box of about
    1 x 1."""
    glyphs, odds = ways
    glyph = glyphs[np.searchsorted(odds, rng.random(), side="right")]
    points = glyph.curve @ (lean(_misplace(glyph, rng) - 0.5, LEANING, rng) + 0.5)
    return tuple(np.split(points + shake(len(points), TREMOR, rng), glyph.cuts))


def read_ways(table: str) -> dict[str, Ways]:
    """Read a table of ways of writing, by the sign that they write."""
    rows = [row.split(maxsplit=2) for row in table.strip().splitlines()]
    ways = {}
    for sign in dict.fromkeys(row[0] for row in rows):
        weights = np.cumsum([int(weight) for each, weight, _ in rows if each == sign])
        glyphs = [_read_glyph(strokes) for each, _, strokes in rows if each == sign]
        ways[sign] = glyphs, weights[:-1] / weights[-1]
    return ways


def draw_digits(
    count: int, seed: int, on_progress: Callable[[float], None] = lambda share: None
) -> tuple[np.ndarray, np.ndarray]:
    """Draw images `(count, 28, 28) uint8`, ink bright, and labels `(count,) int64`, balanced and shuffled.

    The same count and seed draw the same digits. `on_progress` is told the share drawn, 0-1, from time to time. Raises
    ValueError for a negative count.
    """
    if count < 0:
        raise ValueError(f"Cannot draw {count} digits. Pass 0 or more.")
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count, dtype=np.int64) % 10)
    usual, bold = PEN_MEDIAN * np.exp(rng.normal(0, PEN_SPREAD, count)), rng.uniform(*BOLD_PENS, count)
    pens = np.where(rng.random(count) < BOLD, bold, usual)
    images = np.empty((count, SIDE, SIDE), np.uint8)
    for i, (digit, pen) in enumerate(zip(labels.tolist(), pens, strict=True)):
        if i % REPORT == 0:
            on_progress(i / count)
        images[i] = to_mnist(
            sketch(place(draw_digit(digit, rng), LONGEST, SHEET / 2), max(1, round(pen * LONGEST)), SHEET)
        )
    return images, labels


def _misplace(glyph: Glyph, rng: np.random.Generator) -> np.ndarray:
    """Jitter the controls `(C, 2)`, shift whole strokes against each other, stretch or shorten their ends."""
    sloppiness = 0.028 * np.exp(rng.normal(0, 0.4))
    controls = glyph.controls + rng.normal(0, sloppiness, glyph.controls.shape)
    shifts = rng.normal(0, 0.02, (len(glyph.lengths), 2))
    controls += np.repeat(shifts, glyph.lengths, axis=0)
    reach = rng.uniform(-0.15, 0.25, (2, len(glyph.lengths), 1))
    controls[glyph.heads] += reach[0] * (controls[glyph.heads] - controls[glyph.heads + 1])
    controls[glyph.tails] += reach[1] * (controls[glyph.tails] - controls[glyph.tails - 1])
    return controls


def lean(points: np.ndarray, leaning: Leaning, rng: np.random.Generator) -> np.ndarray:
    """Give points `(C, 2)` in a box of about 1 x 1 around the origin a hand's waist, taper, bow, aspect, slant and
    turn, whose means and spreads are given."""
    waist, taper, bow, aspect, slant, turn = rng.normal(*leaning)
    x, y = points.T
    y = np.clip(y + 0.5, 0, None) ** np.exp(waist) - 0.5
    x = x * (1 + taper * y) * np.exp(aspect) + bow * np.cos(np.pi * y) - slant * y
    cosine, sine = np.cos(turn), np.sin(turn)
    return np.stack([x * cosine - y * sine, x * sine + y * cosine], axis=1)


def shake(count: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A tremor for each of count pen points, `(count, 2)`: noise of that spread, smoothed over five of them."""
    noise = np.cumsum(rng.normal(0, strength, (count + 5, 2)), axis=0)
    return (noise[5:] - noise[:-5]) / 5


@cache
def _digits() -> dict[str, Ways]:
    return read_ways(WAYS)


def _read_glyph(text: str) -> Glyph:
    """Read the strokes of one row of WAYS."""
    strokes = [stroke.split() for stroke in text.split("|")]
    controls = np.array([(int(word[:2]), int(word[2:4])) for stroke in strokes for word in stroke]) / 100
    curves = [_curve([word.endswith("!") for word in stroke]) for stroke in strokes]
    lengths = np.array([len(stroke) for stroke in strokes])
    ends, cuts = np.cumsum(lengths), np.cumsum([len(curve) for curve in curves])
    whole = np.zeros((cuts[-1], ends[-1]))
    for curve, end, cut in zip(curves, ends, cuts, strict=True):
        whole[cut - curve.shape[0] : cut, end - curve.shape[1] : end] = curve
    return Glyph(controls, whole, cuts[:-1], ends - lengths, ends - 1, lengths)


def _curve(corners: list[bool], steps: int = 6) -> np.ndarray:
    """Weights `(P, K)` of K controls in each point of the curve along them, which breaks at corners.

    Half Catmull-Rom, which goes through the controls, half B-spline, which goes round them smoothly.
    """
    unit = np.eye(len(corners))
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    powers = np.hstack([t**0, t, t**2, t**3])
    basis = powers @ (CATMULL_ROM + B_SPLINE) / 2  # (steps, 4)
    pieces = []
    for i, (start, end) in enumerate(pairwise(unit)):
        before = 2 * start - end if i == 0 or corners[i] else unit[i - 1]
        after = 2 * end - start if i + 2 == len(unit) or corners[i + 1] else unit[i + 2]
        pieces.append(basis @ np.stack([before, start, end, after]))
    return np.concatenate([*pieces, unit[-1:]])
