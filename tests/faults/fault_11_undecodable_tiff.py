"""LZW (the usual compression), a file cut short, zstd: 'This is not an error that napari-samhq knows', and up to 240 lines of tracebacks without --debug. (n2v#44, iris#64)"""
import os, subprocess, sys, tempfile, numpy as np, tifffile
from PIL import Image
d = tempfile.mkdtemp(); a = np.random.default_rng(0).integers(0, 4000, (240, 320)).astype(np.uint16)
Image.fromarray(a).save(d + "/lzw.tif", compression="tiff_lzw")
tifffile.imwrite(d + "/t.tif", a, tile=(64, 64), compression="zlib"); raw = open(d + "/t.tif", "rb").read(); open(d + "/cut.tif", "wb").write(raw[: len(raw) // 2])
tifffile.imwrite(d + "/u.tif", a); raw = open(d + "/u.tif", "rb").read(); open(d + "/cut_plain.tif", "wb").write(raw[: len(raw) // 2])
cli = os.path.join(os.path.dirname(sys.executable), "napari-samhq"); bad = 0
for name in ("lzw", "cut", "cut_plain"):
    r = subprocess.run([cli, "segment", f"{d}/{name}.tif", "-o", d + "/o.tif", "--everything", "--overwrite"], capture_output=True, text=True)
    lines = r.stderr.splitlines(); wrong = r.returncode != 0 and (len(lines) > 1 or "not an error that" in r.stderr); bad += wrong
    print(name, "rc", r.returncode, len(lines), "lines;", [l for l in lines if l.startswith("Error")][:1])
sys.exit(bad > 0)
