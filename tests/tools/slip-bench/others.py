"""Measures python-escpos on the content that `posd-sim slips` wrote: name, what, ns for a slip, bytes of it.

Lines come laid out. Its own text() does not know GB18030 and writes ? for hanzi; so it is measured a second time with
bytes that Python has encoded, which leaves only the commands to it.
"""
import pathlib
import sys
import time

from escpos.printer import Dummy
from PIL import Image

content = pathlib.Path(sys.argv[1])
rows = [line.split("\t", 3) for line in (content / "rows.tsv").read_text().splitlines()]
picture = Image.open(content / "slip.png")
picture.load()


def written(put):
    printer = Dummy()
    printer.hw("INIT")
    for align, scale, bold, line in rows:
        double = scale == "2"
        printer.set(align=align, bold=bold == "1", double_width=double, double_height=double)
        put(printer, line + "\n")
    printer.cut()
    return printer.output


def text():
    return written(lambda printer, line: printer.text(line))


def commands():
    return written(lambda printer, line: printer._raw(line.encode("gb18030")))


def raster():
    # Of a make whose width it knows, or it complains on standard output.
    printer = Dummy(profile="TM-T88IV")
    printer.hw("INIT")
    printer.image(picture, impl="bitImageRaster", center=False)
    printer.cut()
    return printer.output


NAME = "python-escpos 3.1"
for name, what, run in (
    (NAME, "text", text),
    (f"{NAME} with bytes that Python encoded", "text", commands),
    (NAME, "raster", raster),
):
    size = len(run())
    began, count = time.perf_counter_ns(), 0
    while time.perf_counter_ns() - began < 300_000_000:
        run()
        count += 1
    print(name, what, (time.perf_counter_ns() - began) // count, size, sep="\t", flush=True)
