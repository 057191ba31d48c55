"""QR codes (ISO/IEC 18004), as much of them as an authenticator app needs: bytes, level M, up to 213 of them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

# For the versions 1 to 10 at level M: check bytes of a block, and the data bytes of each block.
_BLOCKS: tuple[tuple[int, tuple[int, ...]], ...] = (
    (10, (16,)),
    (16, (28,)),
    (26, (44,)),
    (18, (32, 32)),
    (24, (43, 43)),
    (16, (27,) * 4),
    (18, (31,) * 4),
    (22, (38, 38, 39, 39)),
    (22, (36, 36, 36, 37, 37)),
    (26, (43, 43, 43, 43, 44)),
)
_ALIGNED: tuple[tuple[int, ...], ...] = (
    (),
    (6, 18),
    (6, 22),
    (6, 26),
    (6, 30),
    (6, 34),
    (6, 22, 38),
    (6, 24, 42),
    (6, 26, 46),
    (6, 28, 50),
)
_QUIET = 4
_POLYNOMIAL = 0x11D

type Grid = list[list[bool | None]]


@dataclass(frozen=True, slots=True)
class Svg:
    """A picture: the length of its side, and the path that is dark in it."""

    side: int
    path: str


def svg(data: bytes) -> Svg:
    """Return the QR code of some bytes.

    Raises:
        ValueError: they are too many.

    """
    rows = matrix(data)
    path = "".join(
        f"M{x + _QUIET} {y + _QUIET}h1v1h-1z"
        for y, row in enumerate(rows)
        for x, dark in enumerate(row)
        if dark
    )
    return Svg(len(rows) + 2 * _QUIET, path)


def matrix(data: bytes) -> list[list[bool]]:
    """Return the modules, dark ones true; of the eight masks the one with the fewest confusing patterns."""
    version = next((n for n in range(1, 11) if len(data) <= _room(n)), 0)
    if not version:
        raise ValueError(f"{len(data)} bytes are more than fit")
    bits = _bits(_interleaved(_padded(data, version), version))
    candidates = [_drawn(version, bits, mask) for mask in range(8)]
    return min(candidates, key=_penalty)


def _room(version: int) -> int:
    """Return how many bytes fit: the data bytes without mode, length and rounding."""
    return sum(_BLOCKS[version - 1][1]) - (2 if version < 10 else 3)


def _padded(data: bytes, version: int) -> bytes:
    size = 8 if version < 10 else 16
    bits = f"0100{len(data):0{size}b}" + "".join(f"{byte:08b}" for byte in data)
    total = sum(_BLOCKS[version - 1][1])
    bits += "0" * min(4, total * 8 - len(bits))
    bits += "0" * (-len(bits) % 8)
    whole = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    return whole + (b"\xec\x11" * total)[: total - len(whole)]


def _interleaved(data: bytes, version: int) -> bytes:
    count, sizes = _BLOCKS[version - 1]
    blocks, at = [], 0
    for size in sizes:
        blocks.append(data[at : at + size])
        at += size
    checks = [_check(block, count) for block in blocks]
    longest = max(sizes)
    kept = [block[n] for n in range(longest) for block in blocks if n < len(block)]
    return bytes([*kept, *(check[n] for n in range(count) for check in checks)])


def _check(data: bytes, count: int) -> bytes:
    """Return the Reed-Solomon check bytes of a block."""
    generator = [1]
    for power in range(count):
        root = _EXP[power]
        generator = [a ^ _times(b, root) for a, b in zip([*generator, 0], [0, *generator], strict=True)]
    rest = [*data, *([0] * count)]
    for at in range(len(data)):
        factor = rest[at]
        if factor:
            for n, value in enumerate(generator):
                rest[at + n] ^= _times(value, factor)
    return bytes(rest[len(data) :])


def _tables() -> tuple[list[int], list[int]]:
    exp, log, value = [0] * 512, [0] * 256, 1
    for power in range(255):
        exp[power] = exp[power + 255] = value
        log[value] = power
        value = value << 1 ^ (_POLYNOMIAL if value & 0x80 else 0)
    return exp, log


_EXP, _LOG = _tables()


def _times(a: int, b: int) -> int:
    return _EXP[_LOG[a] + _LOG[b]] if a and b else 0


def _bits(data: bytes) -> list[bool]:
    return [bool(byte >> shift & 1) for byte in data for shift in range(7, -1, -1)]


def _drawn(version: int, bits: list[bool], mask: int) -> list[list[bool]]:
    """Return the grid of one mask: what every code has, and the data in a zigzag from the lower right corner."""
    grid = _frame(version)
    size, left = len(grid), iter(bits)
    for pair, right in enumerate(range(size - 1, 0, -2)):
        column = right - 1 if right <= _TIMING else right  # the column of the timing pattern is left out
        for step in range(size):
            y = size - 1 - step if pair % 2 == 0 else step
            for x in (column, column - 1):
                if grid[y][x] is None:
                    grid[y][x] = next(left, False) ^ _MASKS[mask](x, y)
    _write_format(grid, mask)
    return [[bool(cell) for cell in row] for row in grid]


def _frame(version: int) -> Grid:
    size = 17 + 4 * version
    grid: Grid = [[None] * size for _ in range(size)]
    for x, y in ((0, 0), (size - 7, 0), (0, size - 7)):
        _write_finder(grid, x, y)
    last = size - 7
    for x in _ALIGNED[version - 1]:
        for y in _ALIGNED[version - 1]:
            if (x, y) not in {(_TIMING, _TIMING), (_TIMING, last), (last, _TIMING)}:
                _write_alignment(grid, x, y)
    for n in range(8, size - 8):
        grid[_TIMING][n] = grid[n][_TIMING] = n % 2 == 0
    _write_format(grid, 0)  # its places are taken; what stands there depends on the mask
    if version >= _WITH_VERSION:
        _write_version(grid, version)
    return grid


def _write_finder(grid: Grid, left: int, top: int) -> None:
    for dy in range(-1, 8):
        for dx in range(-1, 8):
            x, y = left + dx, top + dy
            if 0 <= x < len(grid) and 0 <= y < len(grid):
                ring = max(abs(dx - 3), abs(dy - 3))
                grid[y][x] = ring in {0, 1, 3}


def _write_alignment(grid: Grid, x: int, y: int) -> None:
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            grid[y + dy][x + dx] = max(abs(dx), abs(dy)) != 1


def _write_format(grid: Grid, mask: int) -> None:
    """Write level M and the mask, twice, with their check bits (BCH 15,5)."""
    rest = mask << 10  # level M is 00
    for shift in range(14, 9, -1):
        if rest >> shift & 1:
            rest ^= 0x537 << (shift - 10)
    bits = (mask << 10 | rest) ^ 0x5412
    size = len(grid)
    for n in range(15):
        dark = bool(bits >> n & 1)
        if n < 6:
            grid[n][8] = dark
        elif n < 8:
            grid[n + 1][8] = dark
        elif n == 8:
            grid[8][7] = dark
        else:
            grid[8][14 - n] = dark
        if n < 8:
            grid[8][size - 1 - n] = dark
        else:
            grid[size - 15 + n][8] = dark
    grid[size - 8][8] = True


def _write_version(grid: Grid, version: int) -> None:
    """Write the version, twice, with its check bits (BCH 18,6)."""
    rest = version << 12
    for shift in range(17, 11, -1):
        if rest >> shift & 1:
            rest ^= 0x1F25 << (shift - 12)
    bits, size = version << 12 | rest, len(grid)
    for n in range(18):
        dark = bool(bits >> n & 1)
        grid[n // 3][size - 11 + n % 3] = grid[size - 11 + n % 3][n // 3] = dark


_TIMING = 6
_WITH_VERSION = 7
_MASKS: tuple[Callable[[int, int], bool], ...] = (
    lambda x, y: (x + y) % 2 == 0,
    lambda x, y: y % 2 == 0,  # noqa: ARG005
    lambda x, y: x % 3 == 0,  # noqa: ARG005
    lambda x, y: (x + y) % 3 == 0,
    lambda x, y: (y // 2 + x // 3) % 2 == 0,
    lambda x, y: x * y % 2 + x * y % 3 == 0,
    lambda x, y: (x * y % 2 + x * y % 3) % 2 == 0,
    lambda x, y: ((x + y) % 2 + x * y % 3) % 2 == 0,
)
_LIKE_A_FINDER = ("10111010000", "00001011101")


def _penalty(grid: list[list[bool]]) -> int:
    """Return how easily a code is misread: long runs, squares, what looks like a corner, too dark or too light."""
    lines = ["".join("01"[cell] for cell in row) for row in (*grid, *map(list, zip(*grid, strict=True)))]
    score = 0
    for line in lines:
        score += sum(len(run) - 2 for run in re.findall(r"0{5,}|1{5,}", line))
        score += 40 * sum(line.startswith(one, at) for one in _LIKE_A_FINDER for at in range(len(line)))
    for above, below in pairwise(grid):
        pairs = zip(pairwise(above), pairwise(below), strict=True)
        score += 3 * sum(a == b == c == d for (a, b), (c, d) in pairs)
    dark = sum(map(sum, grid)) * 100 // len(grid) ** 2
    return score + abs(dark - 50) // 5 * 10
