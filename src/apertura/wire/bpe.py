"""A text cut into the tokens of a vocabulary, as far as one must to count them.

First a pattern cuts the text into words, numbers, signs and spaces; most of these are tokens. What
is not is put together from its bytes, the pair with the lowest rank first. Our own few lines rather
than a library, because a count needs neither the numbers of the tokens nor the six packages that
would come along, of which one talks to the network.

The vocabulary is OpenAI's o200k_base, a file of this package (see `vocabulary/`), read as a module
is: once, on first use, in 0.15 s and 30 MB. Nothing is ever fetched.

What it is not: an encoder. Letters beyond the Basic Multilingual Plane count as uncased, which
changes the count of no living language.

The rule that keeps it honest: the work is bounded whatever the text. Runs without a break are cut,
and once so many bytes have been put together, the rest counts as those did.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import resources
from itertools import accumulate, chain, groupby, pairwise
from threading import Lock

MERGED_MOST = 256 * 1024
"""Bytes, of words that are no tokens, that are put together for one count."""
SLICE = 16 * 1024
"""Characters that are cut in one step: milliseconds, in which no other thread can run."""
RUN_MOST = 128
"""Bytes that are put together at once, because it takes their square; also the longest token."""
KEPT_MOST = 50_000
"""Different words that are kept until they are counted."""

_NO_PAIR = 1 << 30
_PLANE = 0x10000
_BEYOND = r"\U00010000-\U0001cfff\U0001d400-\U0001d7ff\U0001e000-\U0001efff\U00020000-\U0003ffff"
"""Letters of the other planes, roughly; pictures and signs are not among them."""


class Vocabulary:
    """The ranks of all tokens, and the pattern that comes before them."""

    def __init__(self, ranks: dict[bytes, int], pattern: re.Pattern[str]) -> None:
        self._ranks = ranks
        self._find = pattern.findall

    def count(self, texts: Iterable[str]) -> int:
        """Tokens of several texts."""
        total, budget = 0, _Budget(self._ranks)
        words: Counter[str] = Counter()
        for found in chain.from_iterable(map(self._cut, texts)):
            words.update(found)
            if len(words) > KEPT_MOST:
                total += self._count(words, budget)
                words.clear()
        return total + self._count(words, budget)

    def _cut(self, text: str) -> Iterator[list[str]]:
        """The words of a text, slice by slice. The last two of a slice are cut again, because what
        follows might have been a part of them.
        """
        at = 0
        while at < len(text):
            end = at + SLICE
            found = self._find(text, at, end)
            if end < len(text) and len(found) > 2:
                end -= len(found.pop()) + len(found.pop())
            yield found
            at = end

    def _count(self, words: Counter[str], budget: _Budget) -> int:
        total = 0
        for word, times in words.items():
            data = word.encode("utf-8", "replace")
            if data in self._ranks:
                total += times
            else:
                total += times * budget.merge(data)
        return total


class _Budget:
    """Puts words together until it has done enough of it for one count."""

    def __init__(self, ranks: dict[bytes, int]) -> None:
        self._ranks = ranks
        self._bytes = self._tokens = 0

    def merge(self, data: bytes) -> int:
        """Tokens of a word that is none itself."""
        if len(data) <= RUN_MOST:
            return self._merge(data)
        runs = Counter(data[at : at + RUN_MOST] for at in range(0, len(data), RUN_MOST))
        return sum(times * self._merge(run) for run, times in runs.items())

    def _merge(self, data: bytes) -> int:
        if self._bytes >= MERGED_MOST:
            return max(1, len(data) * self._tokens // self._bytes)
        found = merged(data, self._ranks)
        self._bytes += len(data)
        self._tokens += found
        return found


def merged(data: bytes, ranks: dict[bytes, int]) -> int:
    """How many tokens are left of these bytes when no two neighbours make one any more."""
    edges = list(range(len(data) + 1))
    pairs = [ranks.get(data[at : at + 2], _NO_PAIR) for at in range(len(data) - 1)]
    while pairs:
        best = min(pairs)
        if best == _NO_PAIR:
            break
        at = pairs.index(best)
        del edges[at + 1], pairs[at]
        if at < len(pairs):
            pairs[at] = ranks.get(data[edges[at] : edges[at + 2]], _NO_PAIR)
        if at:
            pairs[at - 1] = ranks.get(data[edges[at - 1] : edges[at + 1]], _NO_PAIR)
    return len(edges) - 1


def unpack(data: bytes) -> list[bytes]:
    """The tokens of a packed vocabulary, in the order of their ranks: see `tools/vocabulary.py`."""
    raw = zlib.decompress(data)
    size = int.from_bytes(raw[:4], "big")
    edges = accumulate(raw[4 : 4 + size], initial=4 + size)
    return [raw[start:end] for start, end in pairwise(edges)]


def o200k() -> Vocabulary:
    """The vocabulary, loaded if it was not yet; from any thread."""
    with _lock:
        if not _loaded:
            packed = resources.files(__package__).joinpath("vocabulary", "o200k_base.z")
            tokens = unpack(packed.read_bytes())
            _loaded.append(Vocabulary(dict(zip(tokens, range(len(tokens)), strict=True)), words()))
        return _loaded[0]


def words() -> re.Pattern[str]:
    """What o200k_base takes for a word: letters with at most one change from upper to lower case,
    up to three digits, signs, or spaces; a sign or a space before a word belongs to it.
    """
    kinds = _kinds()
    upper = "".join(kinds[kind] for kind in ("Lu", "Lt", "Lm", "Lo", "Mn", "Mc", "Me")) + _BEYOND
    lower = "".join(kinds[kind] for kind in ("Ll", "Lm", "Lo", "Mn", "Mc", "Me")) + _BEYOND
    letters = "".join(kinds[kind] for kind in ("Lu", "Ll", "Lt", "Lm", "Lo")) + _BEYOND
    numbers = "".join(kinds[kind] for kind in ("Nd", "Nl", "No"))
    first = rf"[^\r\n{letters}{numbers}]?"
    ending = "(?:'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL]))?"
    return re.compile(
        rf"{first}[{upper}]*[{lower}]+{ending}"
        rf"|{first}[{upper}]+[{lower}]*{ending}"
        rf"|[{numbers}]{{1,3}}"
        rf"| ?[^\s{letters}{numbers}]+[\r\n/]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


def _kinds() -> dict[str, str]:
    """The characters of each general category, as ranges for a pattern."""
    kinds: dict[str, str] = {}
    for kind, group in groupby(range(_PLANE), key=lambda point: unicodedata.category(chr(point))):
        points = list(group)
        kinds[kind] = f"{kinds.get(kind, '')}\\u{points[0]:04x}-\\u{points[-1]:04x}"
    return kinds


_lock = Lock()
_loaded: list[Vocabulary] = []
