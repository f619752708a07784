"""What all written pages share: how they are written, and how verdicts and running text stand in tables."""

import re
from html import escape
from pathlib import Path

GREEK = {"Omega": "Ω", "alpha": "α", "lambda": "λ", "sigma": "σ", "theta": "θ", "delta": "δ", "->": "→"}
LETTER = re.compile(r"\b(?:Omega|alpha|lambda|sigma|theta|delta)(?![a-zA-Z])|-&gt;|->")
INDEX = re.compile(r"(?<![A-Za-z])([A-Za-zΩαλσθδ])_(inf|\w|\([^)]*\))(?!\w)")


def write(path: Path, lines: list[str]) -> None:
    """Write a page, unless it has not changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(lines) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def mark(verdict: str) -> str:
    """Return a verdict in its colour."""
    return f'<span class="verdict verdict-{verdict}">{verdict}</span>'


def readable(text: str) -> str:
    """Return text with Greek letters and indices as on paper."""
    found = LETTER.sub(lambda match: GREEK[match[0].replace("&gt;", ">")], text)
    return INDEX.sub(lambda match: f"{match[1]}<sub>{match[2].strip('()').replace('inf', '∞')}</sub>", found)


def plain(text: str) -> str:
    """Return text that Markdown leaves as it is, in one line, with letters and indices as on paper."""
    marked = readable(escape(" ".join(text.split()), quote=False))
    for sign in "\\|*_[]`$":
        marked = marked.replace(sign, f"&#{ord(sign)};")
    return marked


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a table; a cell without text is a dash."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell or "–" for cell in line) + " |" for line in lines] + [""]
