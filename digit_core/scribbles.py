"""Strokes that are no digits: letters, signs, characters of no script, two digits at once, scribbles.

Networks learn from them to leave open what nobody can say, and to tell how much a drawing looks like a digit at all.
"""

from collections.abc import Callable
from functools import cache

import numpy as np

from digit_core.strokes import turn
from digit_core.synthetic import Ways, draw_digit, read_ways, write

# Ways of writing, as in `synthetic.WAYS`.
LETTERS = """
A 10  1595 5005! 8595 | 3060 7060
A  5  1595 5005! 8595! 7062 3062
A  4  1595 3525 5005 6525 8595 | 2558 7558
C 10  8020 6006 3010 1550 3090 6094 8280
C  5  8512 5005 2025 1555 3592 8590
E 10  8008 2008! 2092! 8092 | 2050 6550
E  5  7515 4005 2525 4548 2570 4595 8085
E  5  2005 2095 | 2006 8005 | 2050 7050 | 2094 8095
F 10  2505 2595 | 2508 8008 | 2548 6548
F  4  8008 2508! 2595 | 2548 6548
H 10  2005 2095 | 8005 8095 | 2050 8050
H  4  2005 2095! 2050! 8050! 8005! 8095
K 10  2505 2595 | 7508 2852! 7895
K  4  2505 2595 | 7508 2852 | 3548 7895
L 10  2505 2595! 8095
L  5  3005 2860 2892! 5595 8590
L  3  6505 4010 3550 3585 2090 3085 8592
M 10  1095 1805! 5065! 8205! 9095
M  5  1095 1805 2808 4555 5055 7008 8005 9095
N 10  2095 2005! 8095! 8005
N  4  2095 2205 3508 6592 7895 8005
P 10  2505 2595 | 2506 6505 8025 6550 2555
P  5  2595 2505! 6505 8028 6050 2852
R 10  2595 2505 | 2506 6505 8025 6048 2850! 8095
R  5  2595 2505! 6505 7828 6048 3050! 8095
T 10  1008 9008 | 5008 5095
T  4  5008 5095 | 1510 8806
U 10  1505 1560 3092 6092 8560 8505
U  5  1505 1565 4092 7880 8505! 8595
V  8  1005 5095! 9005
V  4  1005 4590 5592 9005
W 10  0505 2595! 5030! 7595! 9505
W  5  0505 1580 3095 4580 5030 5580 7095 8580 9505
X 10  1505 8595 | 8505 1595
X  3  1510 5050 8590 | 8508 5050 1592
Y 10  1505 5050! 8505 | 5050 5095
Y  5  1505 5048 | 8805 5048 3595
a 10  7825 5010 2040 2075 4595 7575 8020! 8080 9092
a  5  7515 4010 1545 3088 6590 7815 | 8008 7885 9095
c 10  7825 5508 2535 2070 5092 8278
c  4  8030 6012 3018 1855 3590 7085
d 10  7855 5045 2060 3590 6590 8070 | 8005 8095
d  5  7855 5045 2060 3590 6590 8070 8005! 8095
e 10  2058 8055 7030 4528 2055 3590 8082
e  5  1560 5055 8535 6510 3520 2060 4592 8878
f  8  7515 5505 4525 4595 | 2545 7045
f  4  8015 6505 5020 4580 2595 | 2040 7538
h 10  2505 2595 | 2560 5042 7555 7595
h  5  2505 2595! 2562 5042 7555 7595
k  8  2505 2595 | 7045 2870! 7595
k  4  2505 2595! 2570! 6545 5055 3570 5080 8595
m 10  1595 1530 | 1545 3030 4550 4595 | 4550 6532 8050 8095
m  5  1530 1595! 1550 3030 4550 4595! 4555 6532 8050 8595
n  8  2595 2530 | 2550 5030 7545 7595
n  5  2530 2595! 2550 5030 7545 7595
p 10  2520 2598 | 2525 5515 8035 6058 2555
p  5  2598 2520! 5512 8035 6058 2855
r 10  2530 2595! 2855 5030 7532
r  4  2530 2595 | 2852 5030 8035
t  8  5005 4580 6095 7588 | 2535 7535
t  5  5005 5095 | 2030 8030
u 10  2030 2070 4092 7080 7830! 7880 8595
u  5  2030 2275 4592 7575 7830 | 7830 7895
v  8  2035 5095! 8035
v  3  2035 4590 5590 8035
w  8  1035 3090! 5045! 7090! 9035
w  5  1035 2085 3592 4885 5045 5285 6592 8085 9035
x  8  2035 8095 | 8035 2095
y 10  2010 5055 | 8010 5055 2598
y  5  2010 2540 4555 7045 8008! 7575 5095 2588
"""
LOOKALIKES = """
o 10  5008 2025 1550 3088 6090 8555 7520 5008
O 10  5005 2018 0850 2090 5095 8090 9250 8015 5005
D 10  2505 2595 | 2505 6508 8550 6092 2595
D  4  2595 2505! 6508 8550 6092 2595
Q 10  5005 2018 0850 2090 5095 8090 9250 8015 5005 | 6070 9098
I  5  5005 5095
I 10  5005 5095 | 2505 7505 | 2595 7595
i 10  5035 5095 | 5010 5212
l 10  5005 5095
l  5  4505 4880 6095 7588
J 10  7005 7075 5095 2580
J  5  4005 9005 | 6805 6578 4595 2078
j 10  5530 5580 4095 2088 | 5508 5710
Z 10  1508 8508! 1592! 8592
Z  4  1508 8508! 1592! 8592 | 3050 7050
z 10  2030 8030! 2092! 8092
S 10  8018 5505 2522 4545 7068 5592 2082
s 10  7535 5028 2842 5058 7278 5092 2585
B 10  2505 2595 | 2505 6508 7025 4048 2548 | 4048 8065 7088 2595
B  5  2595 2505! 6508 7228 4548! 8065 6590 2595
b 10  2505 2595 | 2560 5042 8060 7085 4595 2585
b  5  2505 2592! 6092 8068 6045 2862
G 10  8020 6006 3010 1550 3090 6094 8570 8555! 5555
G  4  8018 5505 2025 1560 3590 7590 8258! 5858 | 8258 8298
g 10  7815 5005 2525 3550 6550 7812! 7878 5598 2588
q 10  7815 5005 2525 3550 6550 7812! 7598 9088
"""  # letters that many hands write as a digit: to measure by, never to learn from
SIGNS = """
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
SHARES = {
    "letters": 0.22,
    "signs": 0.09,
    "characters": 0.09,
    "numbers": 0.06,
    "pairs": 0.25,
    "sideways": 0.13,
    "scribbles": 0.16,
}

Strokes = tuple[np.ndarray, ...]


def scribble(rng: np.random.Generator, kind: str | None = None) -> Strokes:
    """Draw something that is no digit: strokes, each `(K, 2) float64`, y down, in a box of about 1 x 1.

    kind: one of KINDS, chosen by SHARES where none is given. Raises KeyError for another kind.
    """
    return KINDS[kind or str(rng.choice(list(SHARES), p=list(SHARES.values())))](rng)


@cache
def _read_table(table: str) -> list[Ways]:
    return list(read_ways(table).values())


def _write_from(table: str) -> Callable[[np.random.Generator], Strokes]:
    def write_one(rng: np.random.Generator) -> Strokes:
        ways = _read_table(table)
        return write(ways[int(rng.integers(len(ways)))], rng)

    return write_one


def _character(rng: np.random.Generator) -> Strokes:
    """A character of no script: two to five strokes, straight, curved, hooked or looped, most of them level or
    upright."""
    return tuple(_smooth(np.clip(_part(rng), -0.1, 1.1)) for _ in range(int(rng.integers(2, 6))))


def _part(rng: np.random.Generator) -> np.ndarray:
    """The controls `(K, 2)` of one stroke of a character."""
    middle, length = rng.uniform(0.15, 0.85, 2), rng.uniform(0.3, 0.9)
    angle = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.35)
    along = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    across = np.array([-along[1], along[0]])
    start, end = middle - along, middle + along
    kind = rng.integers(4)
    if kind == 0:
        return np.stack([start, middle + across * rng.normal(0, 0.15), end])
    if kind == 1:
        bends = [middle + side * along / 3 + across * rng.normal(0, 0.8) for side in (-1, 1)]
        return np.stack([start, *bends, end])
    if kind == 2:
        hook = end + rng.normal(0, 0.3, 2) + across * rng.choice([-0.6, 0.6])
        return np.stack([start, middle, end, hook, middle + rng.normal(0, 0.25, 2)])
    angles = np.linspace(0, 2 * np.pi * rng.uniform(0.7, 1.4), 7) + rng.uniform(0, 2 * np.pi)
    loop = np.stack([np.cos(angles), np.sin(angles) * rng.uniform(0.6, 1.2)], axis=1)
    return np.concatenate([[start], middle + rng.uniform(0.15, 0.35) * loop, [end]])


def _number(rng: np.random.Generator) -> Strokes:
    """Two digits side by side."""
    tens, ones = (draw_digit(int(digit), rng) for digit in rng.integers(0, 10, 2))
    away = np.array([rng.uniform(0.75, 1.15), rng.normal(0, 0.06)])
    slim = np.array([0.7, 1.0])
    return (*(stroke * slim for stroke in tens), *(stroke * slim + away for stroke in ones))


def _pair(rng: np.random.Generator) -> Strokes:
    """Two digits as parts of one character: each turned anyhow, the second over, beside or below the first."""
    first, second = (_turn(draw_digit(int(digit), rng), rng.uniform(0, 2 * np.pi)) for digit in rng.integers(0, 10, 2))
    away = (
        rng.normal(0, 0.15, 2) if rng.random() < 0.5 else rng.permutation([rng.uniform(0.6, 1.1), rng.normal(0, 0.3)])
    )
    return (*first, *(stroke * rng.uniform(0.6, 1.1, 2) + away for stroke in second))


def _sideways(rng: np.random.Generator) -> Strokes:
    """A digit that lies on its side; a 0 would still be one, and a 1 a dash."""
    return _turn(draw_digit(int(rng.integers(2, 10)), rng), rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.15))


def _turn(strokes: Strokes, angle: float) -> Strokes:
    """Strokes turned about their middle, by radians."""
    middle = np.concatenate(strokes).mean(axis=0)
    return tuple(stroke + middle for stroke in turn([stroke - middle for stroke in strokes], angle))


def _scrawl(rng: np.random.Generator) -> Strokes:
    return (_wander, _zigzag, _spiral, _hatch)[int(rng.integers(4))](rng)


def _smooth(controls: np.ndarray) -> np.ndarray:
    """A curve near the controls `(K, 2)`, by cutting their corners three times (Chaikin 1974)."""
    for _ in range(3):
        ends = controls[:1], controls[-1:]
        near, far = 0.75 * controls[:-1] + 0.25 * controls[1:], 0.25 * controls[:-1] + 0.75 * controls[1:]
        controls = np.concatenate([ends[0], np.stack([near, far], axis=1).reshape(-1, 2), ends[1]])
    return controls


def _wander(rng: np.random.Generator) -> Strokes:
    """A pen that goes anywhere, with up to three strokes."""
    return tuple(_smooth(rng.random((int(rng.integers(6, 16)), 2))) for _ in range(int(rng.integers(1, 4))))


def _zigzag(rng: np.random.Generator) -> Strokes:
    """A crossing-out: to and fro, and on."""
    count = int(rng.integers(6, 16))
    along = np.linspace(0, 1, count)
    across = np.where(np.arange(count) % 2, 1.0, 0.0) * rng.uniform(0.3, 1.0) + rng.normal(0, 0.06, count)
    points = np.stack([along, across], axis=1)
    (points,) = _turn((points,), -rng.uniform(0, 2 * np.pi))
    return (_smooth(points) if rng.random() < 0.6 else points,)


def _spiral(rng: np.random.Generator) -> Strokes:
    """Round and round, inward, or along a line as one tries a pen."""
    t = np.linspace(0, 1, 80)
    turns = rng.uniform(2.2, 5) * 2 * np.pi * rng.choice([-1, 1])
    radius = (1 - t) * 0.5 if rng.random() < 0.5 else np.full(80, 0.25)
    drift = rng.uniform(0.3, 1.5) * t if radius[-1] else 0 * t
    return (np.stack([radius * np.cos(turns * t) + drift, radius * rng.uniform(0.5, 1) * np.sin(turns * t)], axis=1),)


def _hatch(rng: np.random.Generator) -> Strokes:
    """Several short straight strokes, side by side or anyhow."""
    count = int(rng.integers(3, 8))
    starts = rng.random((count, 2))
    away = rng.normal(0, 0.5, (1 if rng.random() < 0.5 else count, 2))
    return tuple(
        np.stack([start, start + step]) for start, step in zip(starts, np.broadcast_to(away, (count, 2)), strict=True)
    )


KINDS: dict[str, Callable[[np.random.Generator], Strokes]] = {
    "letters": _write_from(LETTERS),
    "lookalikes": _write_from(LOOKALIKES),
    "signs": _write_from(SIGNS),
    "characters": _character,
    "numbers": _number,
    "pairs": _pair,
    "sideways": _sideways,
    "scribbles": _scrawl,
}
