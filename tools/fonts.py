"""Makes the fonts of documents: cuts the whole DejaVu Sans down to what documents need.

    python tools/fonts.py FOLDER        FOLDER holds DejaVuSans.ttf and DejaVuSans-Bold.ttf 2.37

It needs fontTools, which comes with the library that makes PDF. The same fonts give the same files.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fontTools import subset

TO = Path(__file__).parent.parent / "src/apertura/documents/fonts"
RANGES = (
    (0x20, 0x7E),  # Latin
    (0xA0, 0x24F),
    (0x259, 0x259),
    (0x2B0, 0x2DD),
    (0x300, 0x304),
    (0x306, 0x30C),
    (0x327, 0x328),
    (0x370, 0x3FF),  # Greek
    (0x400, 0x52F),  # Cyrillic
    (0x531, 0x556),  # Armenian
    (0x559, 0x55F),
    (0x561, 0x587),
    (0x589, 0x58A),
    (0x10A0, 0x10FF),  # Georgian
    (0x1E00, 0x1EFF),
    (0x2010, 0x2027),  # punctuation
    (0x2030, 0x203A),
    (0x2044, 0x2044),
    (0x20A0, 0x20BF),  # currencies
    (0x2116, 0x2116),
    (0x2122, 0x2122),
    (0x2190, 0x2193),
    (0x2212, 0x2212),
    (0x2248, 0x2248),
    (0x2260, 0x2265),
    (0x25A1, 0x25A1),
    (0xFB01, 0xFB02),
    (0xFFFD, 0xFFFD),
)


def main(folder: str) -> None:
    """Write both fonts."""
    letters = [code for first, last in RANGES for code in range(first, last + 1)]
    for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"):
        options = subset.Options()
        options.layout_features = []
        options.hinting = False
        options.name_IDs = ["*"]
        options.notdef_outline = True
        options.recalc_timestamp = False
        options.glyph_names = False
        options.drop_tables += ["FFTM", "GSUB", "GPOS", "GDEF", "kern"]
        font = subset.load_font(str(Path(folder) / name), options)
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=letters)
        subsetter.subset(font)
        subset.save_font(font, str(TO / name), options)
        print(
            f"{TO / name}: {(TO / name).stat().st_size:,} bytes, {len(font.getBestCmap())} letters"
        )


if __name__ == "__main__":
    main(sys.argv[1])
