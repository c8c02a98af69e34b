#!/usr/bin/env python3
"""Writes runtime/pixels/testdata: small image files of many kinds, and what the Python imaging library makes of them.

    python3 testdata/scripts/make_images.py

Needs Pillow 13 with libjpeg-turbo and libwebp, and numpy. cases.json lists the files with their pixels after convert("RGB"), and images
resized with every filter; pixels are rows of RGB, deflated, in base64.
"""

import base64
import io
import json
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image

OUT = pathlib.Path(__file__).resolve().parents[2] / "runtime" / "pixels" / "testdata"


def picture(width, height, seed):
    """A gradient with a disc, stripes and some noise: smooth parts, edges and saturated colours."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    a = np.stack([255 * x / width, 255 * y / height, 128 + 127 * np.sin((x + y) / 3)], axis=-1)
    disc = (x - width * 0.4) ** 2 + (y - height * 0.6) ** 2 < (min(width, height) * 0.3) ** 2
    a[disc] = [250, 20, 30]
    a[:, width * 3 // 4 :] += rng.normal(0, 60, (height, width - width * 3 // 4, 3))
    return np.clip(a, 0, 255).astype(np.uint8)


def png(width, height, depth, kind, rows, chunks=()):
    """A PNG that the library cannot write itself. rows are the bytes of each row."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    data = b"".join(b"\0" + r for r in rows)
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunk(*c) for c in chunks) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def files():
    rgb = Image.fromarray(picture(37, 29, 1))
    alpha = rgb.copy()
    alpha.putalpha(Image.fromarray(picture(37, 29, 2)[:, :, 2]))
    yield "rgb.png", saved(rgb, "PNG")
    yield "rgba.png", saved(alpha, "PNG")
    yield "gray.png", saved(rgb.convert("L"), "PNG")
    yield "gray-alpha.png", saved(alpha.convert("LA"), "PNG")
    yield "bits.png", saved(rgb.convert("1"), "PNG")
    yield "palette.png", saved(rgb.quantize(30), "PNG")
    yield "palette-clear.png", saved(rgb.quantize(30), "PNG", transparency=3)
    yield "gray-clear.png", saved(rgb.convert("L"), "PNG", transparency=40)
    rng = np.random.default_rng(3)
    yield "gray2.png", png(9, 4, 2, 0, [rng.bytes(3) for _ in range(4)])
    yield "gray4.png", png(9, 4, 4, 0, [rng.bytes(5) for _ in range(4)])
    small = np.concatenate([rng.integers(0, 400, 20), rng.integers(0, 65536, 16)]).astype(">u2").tobytes()
    yield "gray16.png", png(9, 4, 16, 0, [small[18 * i : 18 * i + 18] for i in range(4)])
    yield "rgb16.png", png(9, 4, 16, 2, [rng.bytes(54) for _ in range(4)])
    yield "rgba16.png", png(9, 4, 16, 6, [rng.bytes(72) for _ in range(4)])
    yield "gray-alpha16.png", png(9, 4, 16, 4, [rng.bytes(36) for _ in range(4)])
    for name, sampling in ("444", 0), ("422", 1), ("420", 2):
        yield f"{name}.jpg", saved(rgb, "JPEG", quality=90, subsampling=sampling)
        yield f"{name}-even.jpg", saved(rgb.crop((0, 0, 36, 20)), "JPEG", quality=75, subsampling=sampling)
    yield "narrow.jpg", saved(rgb.crop((20, 0, 24, 20)), "JPEG", quality=90, subsampling=2)
    yield "progressive.jpg", saved(rgb, "JPEG", quality=85, subsampling=2, progressive=True)
    yield "gray.jpg", saved(rgb.convert("L"), "JPEG", quality=85)
    yield "cmyk.jpg", saved(rgb.convert("CMYK"), "JPEG", quality=95)
    turned = Image.Exif()
    turned[0x0112] = 6
    yield "turned.jpg", saved(rgb, "JPEG", quality=90, subsampling=0, exif=turned)
    yield "lossy.webp", saved(rgb, "WEBP", quality=80)
    yield "lossy-even.webp", saved(rgb.crop((0, 0, 36, 20)), "WEBP", quality=60)
    yield "lossy-alpha.webp", saved(alpha, "WEBP", quality=80, exact=True)
    yield "lossless.webp", saved(rgb, "WEBP", lossless=True)
    yield "lossless-alpha.webp", saved(alpha, "WEBP", lossless=True, exact=True)


def pixels(image):
    return {"width": image.width, "height": image.height, "rgb": base64.b64encode(zlib.compress(image.convert("RGB").tobytes(), 9)).decode()}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    decoded, resized = [], []
    for name, data in files():
        (OUT / name).write_bytes(data)
        decoded.append({"file": name} | pixels(Image.open(io.BytesIO(data))))
    source = Image.open(OUT / "rgb.png")
    filters = {name: Image.Resampling[name.upper()] for name in ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")}
    for name, f in filters.items():
        for size in (16, 12), (53, 61), (37, 11), (20, 29), (5, 70), (1, 1):
            resized.append({"filter": name} | pixels(source.resize(size, f)))
    with open(OUT / "cases.json", "w") as out:
        json.dump({"pillow": __import__("PIL").__version__, "decoded": decoded, "resized": resized}, out, indent=1)
        out.write("\n")


if __name__ == "__main__":
    main()
