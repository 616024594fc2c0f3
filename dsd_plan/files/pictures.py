"""Figures as SVG and PNG files: drawn by plotly.js in a headless browser (extra [figures])."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from dsd_plan.errors import InputError, Problem
from dsd_plan.files.writing import write_whole

FORMATS = ("svg", "png")
PNG_SCALE = 2
"""Pixels for each of the page's."""
LONGEST_S = 90.0
INSTALL = "pip install 'dsd-plan[figures]'"
BROWSER = (
    "needs Chrome or Chromium: apt install chromium (Debian), or kaleido_get_chrome, or BROWSER_PATH=/path/to/chrome"
)

DRAWN_ID = re.compile(rb'id="defs-([0-9a-f]{6})"')

OnProgress = Callable[[int, int, str], None]


def write_pictures(
    folder: str | Path,
    pictures: Mapping[str, tuple[dict[str, Any], int, int]],
    on_progress: OnProgress | None = None,
) -> list[Path]:
    """An SVG and a PNG for each of `pictures` (name to plotly figure, width and height in px); no network is used.

    Raises InputError where kaleido or a browser is missing, or a figure cannot be drawn or written.
    """
    check_folder_of_pictures(folder)
    try:
        import kaleido
        from choreographer.errors import ChromeNotFoundError
    except ImportError:
        raise InputError(str(folder), [Problem("", f"figures need kaleido: {INSTALL}")]) from None
    import asyncio

    try:
        drawn = asyncio.run(_drawn(kaleido, pictures, on_progress))
    except ChromeNotFoundError:
        raise InputError(str(folder), [Problem("", f"drawing figures {BROWSER}")]) from None
    except (RuntimeError, TimeoutError, OSError) as failure:
        what = str(failure).strip().partition("\n")[0] or type(failure).__name__
        raise InputError(str(folder), [Problem("", f"the browser drew no figure: {what}; it {BROWSER}")]) from None
    return [_written(Path(folder) / name, _named_ids(name, data)) for name, data in drawn.items()]


def check_folder_of_pictures(folder: str | Path) -> None:
    """Raise InputError where the folder is a file."""
    where = Path(folder)
    if where.exists() and not where.is_dir():
        raise InputError(str(folder), [Problem("", "is a file; figures go into a folder: name another")])


async def _drawn(
    kaleido: Any, pictures: Mapping[str, tuple[dict[str, Any], int, int]], on_progress: OnProgress | None
) -> dict[str, bytes]:
    """Files by name; nothing is written before all are drawn."""
    found: dict[str, bytes] = {}
    async with kaleido.Kaleido(n=1, timeout=LONGEST_S, mathjax=False) as browser:
        for at, (name, (figure, width_px, height_px)) in enumerate(pictures.items()):
            for kind in FORMATS:
                size = {"width": width_px, "height": height_px, "scale": PNG_SCALE if kind == "png" else 1}
                found[f"{name}.{kind}"] = await browser.calc_fig(figure, opts={"format": kind, **size})
            if on_progress is not None:
                on_progress(at + 1, len(pictures), name)
    return found


def _named_ids(name: str, data: bytes) -> bytes:
    """plotly.js draws lots for the ids inside an SVG; here they follow from its name: the same figure, the same bytes,
    and two figures in one page do not mix theirs up."""
    drawn = DRAWN_ID.search(data)
    return data if drawn is None else data.replace(drawn[1], sha256(name.encode()).hexdigest()[:6].encode())


def _written(path: Path, data: bytes) -> Path:
    write_whole(path, data)
    return path
