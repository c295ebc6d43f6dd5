"""Malformed and hostile inputs, all of them read in one process of its own, which measures time and memory.

`python tests/test_hostile_inputs.py FOLDER` reads the pictures of a folder and the strokes below and prints JSON.
"""

import io
import json
import math
import os
import random
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from digit_core.errors import DigitError
from digit_core.pictures import picture_from_array, read_picture
from digit_core.preprocessing import preprocess
from digit_core.settings import ROOT
from digit_core.strokes import read_strokes, sketch, strokes_from_canvas
from digit_core.types import Drawing

MEMORY = 500 * 2**20  # bytes over the baseline
FULL = 5 * 2**20 - 2000  # bytes of a file that is just small enough
SEVEN = sketch([np.array([(12.0, 12.0), (50.0, 12.0), (25.0, 55.0)])], 5, 64)
STROKE = {
    "type": "Path",
    "path": [["M", 1, 2], ["Q", 3, 4, 5, 6], ["L", 7, 8]],
    "left": 4,
    "top": 5,
    "scaleX": 1,
    "scaleY": 1,
    "angle": 0,
    "flipX": False,
    "flipY": False,
    "strokeWidth": 20,
}


def encode(picture: Any, file_format: str, **options: Any) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    content = io.BytesIO()
    image.save(content, file_format, **options)
    return content.getvalue()


# Parts of files


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int = 8, colour: int = 0, before: bytes = b"", after: bytes = b"", **more: Any):
    """A PNG file of nothing, tiny however large the picture is."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    row = bytes(1 + (width * depth * channels + 7) // 8)
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(row) for _ in range(min(height, more.get("rows", height)))) + packer.flush()
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, more.get("interlace", 0)))
    body = chunk(b"IDAT", more.get("pixels", pixels))
    return b"\x89PNG\r\n\x1a\n" + head + before + body + after + chunk(b"IEND", b"")


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def exif(entries: list[tuple[int, int, int, int]], rest: bytes = b"") -> bytes:
    """A TIFF header and its entries: tag, type, count, value or offset."""
    rows = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + rows + struct.pack("<I", 0) + rest


def gif(screen: tuple[int, int], frame: tuple[int, int, int, int], extension: bytes = b"") -> bytes:
    pixels = b"\x02\x16\x8c\x2d\x99\x87\x2a\x1c\xdc\x33\xa0\x02\x75\xec\x95\xfa\xa8\xde\x60\x8c\x04\x91\x4c\x01\0"
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x91, 0, 0) + bytes(range(12))
    return head + extension + b"," + struct.pack("<HHHHB", *frame, 0) + pixels + b";"


def bmp(width: int, height: int, bits: int = 24, compression: int = 0, pixels: bytes = b"", colours: int = 0) -> bytes:
    palette = bytes(4 * (colours or (256 if bits == 8 else 0)))
    offset = 54 + len(palette)
    head = b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset)
    return (
        head
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, colours, 0)
        + palette
        + pixels
    )


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


# Pictures


def sound_pictures() -> Iterator[tuple[str, bytes]]:
    """One or more whole files of each format."""
    grey, colour = Image.fromarray(255 - SEVEN), Image.fromarray(255 - SEVEN).convert("RGB")
    orientation = Image.Exif()
    orientation[0x0112], orientation[0x0110] = 6, "camera"
    frames = [colour, Image.fromarray(SEVEN).convert("RGB")]
    yield "grey.png", encode(grey, "PNG")
    yield "palette.png", encode(grey.convert("P"), "PNG", transparency=0)
    yield "16bit.png", encode(Image.fromarray((255 - SEVEN).astype(np.uint16) * 257), "PNG")
    yield "turned.png", encode(grey.convert("RGBA"), "PNG", exif=orientation)
    yield "plain.jpg", encode(colour, "JPEG", exif=orientation)
    yield "progressive.jpg", encode(grey, "JPEG", progressive=True)
    yield "cmyk.jpg", encode(colour.convert("CMYK"), "JPEG")
    yield "lossy.webp", encode(colour, "WEBP")
    yield "lossless.webp", encode(grey.convert("RGBA"), "WEBP", lossless=True, exif=orientation)
    yield "animated.webp", encode(colour, "WEBP", save_all=True, append_images=frames)
    yield "palette.bmp", encode(grey.convert("P"), "BMP")
    yield "colour.bmp", encode(colour, "BMP")
    yield "still.gif", encode(grey, "GIF")
    yield "animated.gif", encode(grey, "GIF", save_all=True, append_images=frames)


def damaged_pictures() -> Iterator[tuple[str, bytes]]:
    """Sound files cut short, and with bits turned over in their headers and their bodies."""
    for name, content in sound_pictures():
        for part in (1, 3, 7, 12, 25, 50, 75, 90, 99):
            yield f"cut to {part} % {name}", content[: max(1, len(content) * part // 100)]
        chance = random.Random(name)
        for number in range(12):
            damaged = bytearray(content)
            for _ in range(1 + number % 4):
                end = min(len(content), 60) if number % 2 else len(content)
                damaged[chance.randrange(end)] ^= 1 << chance.randrange(8)
            yield f"flipped {number} {name}", bytes(damaged)
        yield f"with a tail {name}", content + chance.randbytes(1000)
        yield f"twice {name}", content * 2


def bombs() -> Iterator[tuple[str, bytes]]:
    """Small files with large pictures, and files that take long to walk through."""
    for width, height in (
        (4097, 1),
        (20_000, 20_000),
        (60_000, 60_000),
        (2**31 - 1, 2**31 - 1),
        (0, 0),
        (1, 2**31 - 1),
    ):
        yield (
            f"{width} x {height}.png",
            png(width, height, rows=4)
            if width < 2**30
            else png(9, 9).replace(struct.pack(">II", 9, 9), struct.pack(">II", width, height)),
        )
    for depth, colour in ((1, 0), (16, 0), (8, 2), (16, 2), (8, 4), (8, 6), (16, 6)):
        yield f"4096 x 4096, {depth} bits, colour {colour}.png", png(4096, 4096, depth, colour)
    yield "4096 x 4096 interlaced.png", png(4096, 4096, 8, 6, interlace=1)
    yield "4096 x 1.png", png(4096, 1)
    yield "1 x 4096.png", png(1, 4096)
    yield "too many pixels.png", png(64, 64, pixels=zlib.compress(bytes(300_000_000), 9))
    yield "text bomb.png", png(64, 64, before=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000), 9)))
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**20 - 10), 9))
    yield "many texts.png", png(64, 64, before=text * 500)
    yield "international text.png", png(64, 64, before=chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(9_000_000))))
    yield "profile bomb.png", png(64, 64, before=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(50_000_000), 9)))
    yield "empty texts.png", png(64, 64, before=chunk(b"tEXt", b"") * (FULL // 12))
    yield "empty chunks.png", png(64, 64, before=chunk(b"abCd", b"") * (FULL // 12), after=chunk(b"abCd", b""))
    yield "a chunk of 4 GB.png", png(64, 64, before=struct.pack(">I", 2**32 - 1) + b"IDAT")
    yield "wrong sum.png", png(64, 64).replace(b"IDAT", b"IDAT", 1)[:-20] + bytes(20)
    yield "no pixels.png", png(64, 64, pixels=b"")
    yield "nine headers.png", png(64, 64, before=chunk(b"IHDR", struct.pack(">IIBBBBB", 9000, 9000, 8, 6, 0, 0, 0)) * 9)
    large = cv2.resize(255 - SEVEN, (4096, 4096), interpolation=cv2.INTER_LINEAR)
    for file_format in ("PNG", "JPEG", "WEBP", "GIF"):
        yield f"4096 x 4096 seven.{file_format}", encode(large, file_format)
    yield "4096 x 4096 palette.png", encode(Image.fromarray(large).quantize(16), "PNG", transparency=0)
    yield "4096 x 4096 black and white.bmp", encode(Image.fromarray(large).convert("1"), "BMP")
    layers = Image.merge("RGBA", [Image.fromarray(large)] * 4)
    yield "4096 x 4096 transparent.webp", encode(layers, "WEBP", lossless=True, method=0)
    frames = [Image.fromarray(255 - large)]
    yield "4096 x 4096 animated.webp", encode(large, "WEBP", save_all=True, append_images=frames, method=0)
    turned = Image.Exif()
    turned[0x0112] = 5
    yield "4096 x 4096 turned.jpg", encode(large, "JPEG", exif=turned, progressive=True)
    noise = np.random.default_rng(0).integers(0, 256, (2200, 2200), np.uint8)
    yield "noise.png", encode(noise, "PNG")
    yield "noise.webp", encode(noise[:1700, :1700], "WEBP", lossless=True, method=0)
    yield "dots.png", encode(np.kron(np.ones((320, 320), np.uint8), np.array([[255, 0], [0, 0]], np.uint8)), "PNG")
    yield from slow_jpegs()
    yield from strange_exif()
    yield from odd_gifs_bmps_and_webps()


def slow_jpegs() -> Iterator[tuple[str, bytes]]:
    plain = encode(255 - SEVEN, "JPEG")
    blank = encode(np.full((4096, 4096), 255, np.uint8), "JPEG", progressive=True)
    starts = [at for at in range(len(blank)) if blank.startswith(b"\xff\xda", at)]
    shortest = min((blank[a:b] for a, b in zip(starts, [*starts[1:], len(blank) - 2], strict=True)), key=len)
    for count in (30, 1000, (FULL - len(blank)) // len(shortest)):
        yield f"{count} more scans.jpg", blank[:-2] + shortest * count + blank[-2:]
    yield "comments.jpg", plain[:2] + segment(0xFE, b"") * (FULL // 4) + plain[2:]
    yield "profiles.jpg", plain[:2] + segment(0xE2, b"ICC_PROFILE\0\1\1") * (FULL // 18) + plain[2:]
    yield "photoshop.jpg", plain[:2] + segment(0xED, b"") * (FULL // 4) + plain[2:]
    yield "filling.jpg", plain[:2] + b"\xff" * FULL + plain[2:]
    yield "65500 x 65500.jpg", plain.replace(struct.pack(">HH", 64, 64), struct.pack(">HH", 65500, 65500), 1)
    yield "4096 x 4096 of nothing.jpg", plain.replace(struct.pack(">HH", 64, 64), struct.pack(">HH", 4096, 4096), 1)


def strange_exif() -> Iterator[tuple[str, bytes]]:
    """A seven with metadata that mislead, in each format that has room for them."""
    seven = Image.fromarray(255 - SEVEN)
    jpeg, lossless, plain = encode(seven, "JPEG"), encode(seven, "WEBP", lossless=True), encode(seven, "PNG")
    loop = [(0x0112, 3, 1, 6), (0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0xA005, 4, 1, 8)]
    greedy = [(0x0112, 3, 1, 6), *((0x200 + number, 1, 60_000, 8) for number in range(5000))]
    odd = [(0x0112, kind, count, 2**32 - 1) for kind in range(14) for count in (0, 1, 2**31, 2**32 - 1)]
    for name, data in (
        *(("loop", exif(loop)), ("greedy", exif(greedy, bytes(2000))), ("odd", exif(odd)), ("empty", b"")),
        *(("zeros", bytes(64)), ("noise", random.Random(0).randbytes(3000)), ("far", b"II*\0\xff\xff\xff\xff")),
        *((f"orientation {value}", exif([(0x0112, 3, 1, value)])) for value in (0, 9, 65535)),
        ("orientation in words", exif([(0x0112, 2, 4, 0x41414141)])),
        ("two orientations", exif([(0x0112, 3, 2, 0x00060006)])),
        ("resolution by zero", exif([(0x011A, 5, 1, 26), (0x0128, 3, 1, 2)], bytes(8))),
    ):
        yield f"exif {name}.jpg", jpeg[:2] + segment(0xE1, b"Exif\0\0" + data[:65000]) + jpeg[2:]
        yield f"exif {name}.png", plain[:33] + chunk(b"eXIf", data) + plain[33:]
        canvas = webp_chunk(b"VP8X", b"\x08\0\0\0" + b"\x3f\0\0" * 2)
        yield f"exif {name}.webp", riff(canvas, lossless[12:], webp_chunk(b"EXIF", data))
    greedy = [(0x0112, 3, 1, 6), *((0x200 + number, 1, 2**22, 8) for number in range(1000))]
    yield "exif of 4 GB.png", plain[:33] + chunk(b"eXIf", exif(greedy, bytes(2**22))) + plain[33:]
    parts = [exif(greedy, bytes(2**22))[at : at + 65000] for at in range(0, 2**22, 65000)]
    yield "exif of 4 GB.jpg", jpeg[:2] + b"".join(segment(0xE1, b"Exif\0\0" + part) for part in parts) + jpeg[20:]


def odd_gifs_bmps_and_webps() -> Iterator[tuple[str, bytes]]:
    yield "65535 x 65535.gif", gif((65535, 65535), (0, 0, 10, 10))
    yield "4096 x 4096 of a small frame.gif", gif((4096, 4096), (0, 0, 10, 10))
    yield "frame outside.gif", gif((10, 10), (65000, 65000, 65000, 65000))
    yield "frame of nothing.gif", gif((10, 10), (0, 0, 0, 0))
    yield "screen of nothing.gif", gif((0, 0), (0, 0, 10, 10))
    yield "comment.gif", gif((10, 10), (0, 0, 10, 10), b"!\xfe" + b"\1a" * (FULL // 2) + b"\0")
    yield "comments.gif", gif((10, 10), (0, 0, 10, 10), b"!\xfe\1a\0" * (FULL // 5))
    frames = [Image.fromarray(np.roll(SEVEN[::8, ::8], number, 1)) for number in range(3000)]
    yield "3000 frames.gif", encode(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=20)
    for width, height in ((2**31 - 1, 2**31 - 1), (-64, -64), (64, -64), (0, 64), (64, -(2**31)), (4096, 4096)):
        yield f"{width} x {height}.bmp", bmp(width, height, pixels=bytes(64 * 64 * 3))
    for bits in (0, 2, 7, 8, 16, 32, 255):
        yield f"{bits} bits.bmp", bmp(64, 64, bits, pixels=bytes(64 * 64 * 4))
    yield "runs.bmp", bmp(4096, 4096, 8, 1, b"\1\0" * (FULL // 2))
    yield "jumps.bmp", bmp(4096, 4096, 8, 1, b"\0\2\xff\xff" * (FULL // 4))
    yield "lines.bmp", bmp(4096, 4096, 8, 1, b"\0\0" * (FULL // 2))
    yield "colours.bmp", bmp(64, 64, 8, pixels=bytes(4096), colours=2**20)
    still = encode(Image.fromarray(SEVEN), "WEBP", lossless=True)
    at = still.index(b"\x2f", 20)
    yield "16384 x 16384.webp", still[: at + 1] + struct.pack("<I", 2**28 - 1) + still[at + 5 :]
    canvas = webp_chunk(b"VP8X", b"\2\0\0\0" + b"\xff\x3f\0" * 2)
    frame = webp_chunk(b"ANMF", bytes(6) + b"\x3f\0\0" * 2 + bytes(4) + still[12:])
    moving = webp_chunk(b"ANIM", bytes(6))
    yield "16384 x 16384 animated.webp", riff(canvas, moving, frame)
    yield "2000 frames.webp", riff(webp_chunk(b"VP8X", b"\2\0\0\0" + b"\x3f\0\0" * 2), moving, *[frame] * 2000)
    yield "no frame.webp", riff(canvas, moving)


def other_files() -> Iterator[tuple[str, bytes]]:
    """What is no picture that is read here."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("seven.png", encode(SEVEN, "PNG"))
    yield "empty", b""
    yield "a byte", b"\0"
    yield "zeros", bytes(1000)
    yield "text.png", b"seven"
    yield "drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><path d="M1 1L9 9"/></svg>'
    yield "archive.zip", archive.getvalue()
    for file_format in ("TIFF", "PDF", "ICO", "PPM", "TGA", "JPEG2000", "AVIF", "PCX", "SGI", "EPS"):
        yield f"picture.{file_format}", encode(Image.fromarray(SEVEN).convert("RGB"), file_format)
    yield "magic only.png", b"\x89PNG\r\n\x1a\n"
    yield "magic only.gif", b"GIF89a"
    yield "magic only.jpg", b"\xff\xd8\xff"
    yield "magic only.bmp", b"BM"
    yield "magic only.webp", riff()
    yield "too large", bytes(6 * 2**20)
    for width, height in ((1, 1), (2, 2), (1, 64), (64, 1), (3, 3), (5, 7)):
        for file_format in ("PNG", "JPEG", "WEBP", "BMP", "GIF"):
            picture = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
            yield f"{width} x {height}.{file_format}", encode(picture, file_format)


def pictures() -> Iterator[tuple[str, bytes]]:
    yield from damaged_pictures()
    yield from other_files()
    yield from bombs()


# Strokes


def nest(depth: int) -> list[Any]:
    nested: list[Any] = [1, 2]
    for _ in range(depth):
        nested = [nested]
    return nested


def hostile_strokes() -> Iterator[tuple[str, Callable[[], Any]]]:
    """Strokes, made when they are read; JSON can hold all of them."""
    for number in (math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 1e9, 10**30, 10**400, True, None, "1", {}, []):
        yield f"a point of {number!r:.20}", lambda number=number: [[[number, 1], [2, 3]]]
        yield f"a lone point of {number!r:.20}", lambda number=number: [[[number, number]]]
    yield "a string of a million letters", lambda: [[["x" * 10**6, 1], *[[1, 1]] * 9_999]]
    yield "a million points", lambda: [[[number, number] for number in range(10**6)]]
    yield "a million strokes", lambda: [[[number, number]] for number in range(10**6)]
    yield "a million empty strokes", lambda: [[]] * 10**6
    yield "a point of a million numbers", lambda: [[[0] * 10**6]]
    yield "10,000 points far apart", lambda: [[[(-1) ** n * 9e8, (-1) ** (n // 2) * 9e8] for n in range(10_000)]]
    yield "10,000 dots", lambda: [[[n % 100, n // 100]] for n in range(10_000)]
    for depth in (1, 2, 3, 70, 100_000):
        yield f"lists {depth} deep", lambda depth=depth: nest(depth)


def hostile_canvases() -> Iterator[tuple[str, Callable[[], Any]]]:
    for key in STROKE:
        for strange in (None, "x", [], {}, math.nan, math.inf, 1e308, 10**400, -1, nest(100)):
            yield f"{key} is {strange!r:.20}", lambda key=key, strange=strange: {"objects": [{**STROKE, key: strange}]}
    curves = [["M", 0, 0], *[["Q", n % 97, n % 89, n % 83, n % 79] for n in range(9_999)]]
    yield "10,000 curves", lambda: {"objects": [{**STROKE, "path": curves}]}
    yield "a million curves", lambda: {"objects": [{**STROKE, "path": curves * 100}]}
    yield "10,000 taps", lambda: {"objects": [{**STROKE, "path": [["M", 1, 2]]}] * 10_000}
    yield "10,000 other objects", lambda: {"objects": [{"type": "rect"}] * 10_000}
    yield "a command of a million numbers", lambda: {"objects": [{**STROKE, "path": [["L", *[0] * 10**6]] * 2}]}


# The process that reads them all


def peak() -> int:
    """The most memory, in bytes, that this process has had; getrusage would count what its parent had."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def outcome(make: Callable[[], Drawing]) -> str:
    try:
        image = preprocess(make())
    except DigitError as error:
        return f"{type(error).__name__}: {error}"
    except Exception as error:
        return f"a bug: {error!r}"
    return "image" if (image.shape, image.dtype) == ((28, 28), np.uint8) else f"a bug: {image.shape} {image.dtype}"


def measure(make: Callable[[], Drawing]) -> dict[str, Any]:
    start, before = time.process_time(), peak()
    told = outcome(make)
    return {"outcome": told, "seconds": time.process_time() - start, "bytes": peak() - before}


def read_all(folder: Path) -> dict[str, Any]:
    preprocess(picture_from_array(SEVEN))  # what is made once is no input's fault
    baseline = peak()
    results = {}
    names = json.loads((folder / "names.json").read_text())
    for number, name in enumerate(names):
        content = (folder / str(number)).read_bytes()
        results[name] = measure(lambda content=content: read_picture(content))
    most = peak() - baseline
    for name, raw in hostile_strokes():
        strokes = raw()
        results[name] = measure(lambda strokes=strokes: Drawing(read_strokes(strokes)))
    for name, raw in hostile_canvases():
        sent = raw()
        results[name] = measure(lambda sent=sent: Drawing(strokes_from_canvas(sent)))
    return {"results": results, "picture_bytes": most, "bytes": peak() - baseline}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Only Linux tells a process's peak of memory so.")
@pytest.mark.slow
def test_hostile_inputs_are_read_or_refused_in_a_sentence_and_stay_small(tmp_path):
    names = []
    for number, (name, content) in enumerate(pictures()):
        (tmp_path / str(number)).write_bytes(content)
        names.append(name)
    (tmp_path / "names.json").write_text(json.dumps(names))
    command = [sys.executable, "-W", "error", str(Path(__file__)), str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout.splitlines()[-1])
    results = report["results"]
    slowest = max(results, key=lambda name: results[name]["seconds"])
    seconds = results[slowest]["seconds"]
    print(f"\n{len(results)} inputs, {report['bytes'] / 2**20:.0f} MiB, slowest {slowest}: {seconds:.2f} s")
    outcomes = {name: result["outcome"] for name, result in results.items()}
    assert len(outcomes) >= 200
    assert {name: told for name, told in outcomes.items() if told.startswith("a bug")} == {}
    assert all(told == "image" or told.endswith(".") for told in outcomes.values())
    assert {told for name, told in outcomes.items() if name.startswith(("exif", "twice", "with a tail"))} == {"image"}
    for file in ("seven.PNG", "seven.JPEG", "seven.WEBP", "seven.GIF", "turned.jpg", "animated.webp", "palette.png"):
        assert outcomes[f"4096 x 4096 {file}"] == "image"
    for file in ("4097 x 1.png", "60000 x 60000.png", "65535 x 65535.gif", "16384 x 16384.webp", "a million points"):
        assert outcomes[file].startswith("TooLarge")
    assert report["bytes"] < MEMORY


if __name__ == "__main__":
    print(json.dumps(read_all(Path(sys.argv[1]))))
