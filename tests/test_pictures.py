import zlib

import cv2
import numpy as np
import pytest
from images import SEVEN, difference, digits, encode, likeness, place, read
from PIL import Image

from digit_core.errors import EmptyDrawing, TooLarge, UnreadableInput
from digit_core.pictures import MAX_BYTES, picture_from_array, read_picture
from digit_core.preprocessing import preprocess
from digit_core.strokes import sketch

MODES = {  # that Pillow can write
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("1", "L", "RGB", "CMYK", "YCbCr"),
    "WEBP": ("L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "GIF": ("1", "L", "LA", "P", "RGB", "RGBA"),
}


@pytest.mark.parametrize(("file_format", "mode"), [(name, mode) for name in MODES for mode in MODES[name]])
def test_every_mode_in_every_format_gives_the_same_image(file_format, mode, drawn, plain):
    if mode == "I;16":
        picture = Image.fromarray((255 - drawn).astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(255 - drawn).convert(mode)
    apart = difference(read(picture, file_format), plain)
    assert apart.mean() < 3 and apart.max() < 64  # black and white lines have stairs, JPEG and WebP lose a little
    if mode != "1" and file_format in ("PNG", "BMP"):
        assert apart.max() == 0


@pytest.mark.parametrize("bits", [1, 16, 257])
def test_16_bits_are_read_whatever_their_full_scale_is(bits, drawn, plain):
    picture = Image.fromarray((255 - drawn).astype(np.uint16) * np.uint16(bits))
    assert difference(read(picture), plain).max() <= 1


def test_16_bits_of_noise_in_the_dark_are_no_digit():
    noise = np.random.default_rng(0).integers(0, 5, (64, 64)).astype(np.uint16)
    with pytest.raises(EmptyDrawing):
        read(Image.fromarray(noise))


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_a_palette_may_be_transparent(file_format, drawn, plain):
    picture = Image.fromarray((drawn > 127).astype(np.uint8), "P")
    picture.putpalette([255, 255, 255, 0, 0, 0])
    assert difference(read(picture, file_format, transparency=0), plain).mean() < 3


def test_an_animation_shows_its_first_frame(drawn, plain):
    frames = [Image.fromarray(np.roll(drawn, 40, axis=0).T), Image.fromarray(np.zeros_like(drawn))]
    for file_format in ("GIF", "PNG", "WEBP"):
        image = read(drawn, file_format, save_all=True, append_images=frames)
        assert difference(image, plain).mean() < 3, file_format


TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", TURNS)
def test_a_picture_stands_upright_as_its_exif_says(orientation, file_format, drawn, plain):
    picture = Image.fromarray(255 - drawn)
    if TURNS[orientation] is not None:
        picture = picture.transpose(TURNS[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert difference(read(picture, file_format, exif=exif), plain).mean() < 3


@pytest.mark.filterwarnings("ignore:::PIL")
def test_a_broken_exif_turns_nothing(drawn, plain):
    for data in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0seven"):
        for file_format in ("JPEG", "PNG", "WEBP"):
            assert difference(read(drawn, file_format, exif=data), plain).mean() < 3


@pytest.mark.parametrize(
    ("ink", "paper"),
    [
        *(((0, 0, 0), (255, 255, 255)), ((255, 255, 255), (0, 0, 0)), ((255, 255, 0), (255, 255, 255))),
        *(((0, 0, 255), (0, 0, 0)), ((0, 255, 255), (255, 255, 255)), ((0, 0, 128), (0, 0, 0))),
        *(((255, 0, 0), (0, 255, 0)), ((200, 0, 0), (0, 100, 0)), ((205, 205, 205), (255, 255, 255))),
        *(((60, 60, 60), (0, 0, 0)), ((90, 90, 200), (240, 230, 210)), ((255, 255, 255), (128, 128, 128))),
    ],
    ids=str,
)
@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_any_ink_on_any_paper_gives_the_same_image(ink, paper, file_format, drawn, plain):
    share = drawn[..., None] / 255
    picture = np.rint(np.array(ink) * share + np.array(paper) * (1 - share)).astype(np.uint8)
    apart = difference(read(picture, file_format), plain)
    assert apart.mean() < 2 and apart.max() < 64


@pytest.mark.parametrize("ink", [(0, 0, 0), (255, 255, 255), (255, 255, 0), (128, 128, 128), (0, 0, 255)], ids=str)
@pytest.mark.parametrize("strength", [255, 120, 60])
def test_ink_may_lie_on_nothing(ink, strength, drawn, plain):
    alpha = np.rint(drawn * (strength / 255)).astype(np.uint8)
    picture = np.dstack([*(np.full_like(drawn, level) for level in ink), alpha])
    apart = difference(read(picture), plain)
    assert apart.mean() < 2 and apart.max() < 64


def test_paper_may_have_holes(drawn, plain):
    alpha = np.full_like(drawn, 255)
    alpha[:30] = alpha[:, :30] = 0
    for grey in (drawn, 255 - drawn):
        np.testing.assert_array_equal(read(np.dstack([grey, grey, grey, alpha])), plain)


def test_dark_on_light_and_light_on_dark_are_the_same():
    for strokes in digits(30, seed=1):
        picture = place(strokes, 160, (130, 150))
        np.testing.assert_array_equal(read(picture), read(255 - picture))
        np.testing.assert_array_equal(preprocess(picture_from_array(255 - picture)), read(picture))


def test_a_picture_that_is_no_grey_array_is_refused():
    for picture in (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4)), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)):
        with pytest.raises(UnreadableInput, match="Give"):
            picture_from_array(picture)


def test_4096_pixels_a_side_are_read_and_one_more_is_too_many(plain):
    large = cv2.resize(sketch(SEVEN, 20), (4096, 4096), interpolation=cv2.INTER_LINEAR)
    assert likeness(preprocess(picture_from_array(large)), plain) > 0.98
    for shape in ((4097, 20), (20, 4097)):
        with pytest.raises(TooLarge, match="4096 a side"):
            picture_from_array(np.zeros(shape, np.uint8))
        with pytest.raises(TooLarge, match="4096 a side"):
            read(np.zeros(shape, np.uint8))


def test_a_small_file_of_a_huge_picture_is_too_large(drawn):
    size = (280).to_bytes(4, "big") * 2
    for pixels in (5000, 12_000, 60_000):
        content = bytearray(encode(drawn).replace(size, pixels.to_bytes(4, "big") * 2, 1))
        content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
        with pytest.raises(TooLarge, match="at most 4096"):
            read_picture(bytes(content))


def test_a_progressive_jpeg_of_countless_scans_is_refused(drawn, plain):
    content = encode(drawn, "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    few, many = (content[:last] + content[last:-2] * count + content[-2:] for count in (20, 60))
    assert difference(preprocess(read_picture(few)), plain).mean() < 3
    with pytest.raises(UnreadableInput, match=r"more than 50 layers\."):
        read_picture(many)


def test_a_file_of_more_than_5_mb_is_too_large(drawn):
    content = encode(drawn)
    assert read_picture(content + bytes(MAX_BYTES - len(content))).image.shape == (280, 280)
    with pytest.raises(TooLarge, match=r"5\.0 MB\. Send at most 5 MB\."):
        read_picture(content + bytes(MAX_BYTES - len(content) + 1))


@pytest.mark.parametrize("content", [b"", b"seven", b"\x89PNG\r\n\x1a\n", b"<svg/>", b"GIF89a", b"%PDF-1.7"], ids=repr)
def test_what_is_no_picture_is_refused_with_a_sentence(content):
    with pytest.raises(UnreadableInput, match=r"cannot be read as a picture\. Send a whole PNG"):
        read_picture(content)


def test_a_picture_that_ends_too_early_is_refused(drawn):
    for file_format in MODES:
        content = encode(drawn, file_format)
        with pytest.raises(UnreadableInput):
            read_picture(content[: len(content) // 2])


def test_a_run_length_compressed_bmp_is_refused():
    bitmap = bytearray(encode(np.zeros((64, 64), np.uint8), "BMP"))
    bitmap[30] = 1  # its field "compression"
    with pytest.raises(UnreadableInput, match="Save it as a PNG"):
        read_picture(bytes(bitmap))
