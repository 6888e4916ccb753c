r"""Text for LaTeX: whatever a name holds, it compiles under pdfTeX, XeTeX and LuaTeX, and is shown where the fonts have it.

Nothing is defined but ``\unicodesign``, for the signs that no command shows in every encoding.
"""

import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence

from attention.lab.report.numbers import MINUS

_WORD = 16  # letters of a word above which a line may end after a sign within
_PIECE = 6  # letters of a word between which a line may end where there is no other way
_SIGNS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",  # babel gives the sign another meaning in some languages
    "'": "'{}",
    "`": r"{}\char96{}",
    "-": "-{}",  # two are not a dash
    "[": "{[}",  # after the end of a row, these would be its options
    "]": "{]}",
    "*": "{*}",
    MINUS: "$-$",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "…": r"\ldots{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "≠": r"$\ne$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "√": r"$\surd$",
    "→": r"$\rightarrow$",
    "▲": r"$\triangle$",
    "▼": r"$\bigtriangledown$",
    "○": r"$\circ$",
    "$": r"\char36{}",  # the command takes it from a font that may be there as bitmaps alone
    **{sign: f"\\{sign}" for sign in "&%#_{}"},
}
_LETTERS = {"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ł": "l", "Ł": "L", "ı": "i", "ȷ": "j"}
_ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u0304": "=", "\u0307": "."}
_ACCENTS |= {"\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0306": "u", "\u0327": "c", "\u0323": "d", "\u0331": "b"}
_MATH_ACCENTS = {"\u0301": "acute", "\u0308": "ddot"}  # of Greek
_BELOW = "\u0327\u0323\u0331"
_GREEK = {
    sign: rf"$\{name}$"
    for signs, names in (
        (
            "αβγδεζηθικλμνξπρστυφχψω",
            "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau"
            " upsilon phi chi psi omega",
        ),
        ("ΓΔΘΛΞΠΣΥΦΨΩς", "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega varsigma"),
    )
    for sign, name in zip(signs, names.split(), strict=True)
}
_GREEK |= dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΧο", "ABEZHIKMNOPTXo", strict=True))
# XeTeX and LuaTeX show what the font has. pdfTeX shows what an encoding of the document has: its own, that of textcomp, or
# T2A where it is loaded. Anything else is shown by its number.
_NUMBER = r"\texttt{U+#1}\allowbreak{}"
UNICODE = (
    r"\providecommand{\unicodesign}[2]{\ifdefined\Umathchar\iffontchar\font" + rf'"#1 #2\else{_NUMBER}\fi'
    r"\else\ifcsname u8:\detokenize{#2}\endcsname{\def\TextSymbolUnavailable##1{\ifcsname T2A\string##1\endcsname"
    rf"\fontencoding{{T2A}}\selectfont##1\else{_NUMBER}\fi}}#2}}\else{_NUMBER}\fi\fi}}"
)


def in_latex(text: str, *, breaks: bool = False) -> str:
    """Text as LaTeX shows it.

    Args:
      text: whatever a name holds; runs of white space are blanks.
      breaks: whether a line may end within a word: after a sign, or anywhere if need be.
    """
    words = unicodedata.normalize("NFC", text).split()
    return " ".join(_broken(word) if breaks and len(word) > _PIECE else "".join(map(_sign, word)) for word in words)


def length(text: str) -> int:
    """Letters of a text as pdfTeX shows it: six where a sign that is not Latin is shown by its number."""
    return sum(6 if sign > "\u024f" and r"\unicodesign" in _sign(sign) else 1 for sign in text)


def _broken(word: str) -> str:
    pieces = re.findall(rf"[^\W_]{{1,{_PIECE}}}[\W_]?|[\W_]", word)
    after = [r"\allowbreak{}" if len(word) > _WORD and not piece[-1].isalnum() else r"\penalty500{}" for piece in pieces[:-1]]
    return "".join("".join(map(_sign, piece)) + end for piece, end in zip(pieces, [*after, ""]))


@functools.cache
def _sign(sign: str) -> str:
    if sign in _SIGNS:
        return _SIGNS[sign]
    if " " <= sign <= "~":
        return sign
    if sign in _LETTERS:
        return rf"\{_LETTERS[sign]}{{}}"
    if sign in _GREEK:
        return _GREEK[sign]
    base, *accents = unicodedata.normalize("NFD", sign)
    if accents and base in _GREEK and all(accent in _MATH_ACCENTS for accent in accents):
        return f"${_accented(_GREEK[base].strip('$'), accents, _MATH_ACCENTS)}$"
    if accents and base.isascii() and all(accent in _ACCENTS for accent in accents):
        dotless = {"i": r"\i", "j": r"\j"}.get(base, base) if accents[0] not in _BELOW else base
        return _accented(dotless, accents, _ACCENTS)
    number = f"{ord(sign):04X}"
    if not sign.isprintable():
        return rf"\texttt{{U+{number}}}"
    wide = unicodedata.east_asian_width(sign) in "WF"  # a line may end after each
    return rf"\unicodesign{{{number}}}{{{sign}}}" + (r"\allowbreak{}" if wide else "")


def _accented(letter: str, accents: Sequence[str], commands: Mapping[str, str]) -> str:
    return functools.reduce(lambda inner, accent: rf"\{commands[accent]}{{{inner}}}", accents, letter)
