"""One policy in many layouts: whatever an officer, an editor or a script may have made of the file."""

from dataclasses import dataclass

from hypothesis import strategies as st
from policies import HEAD

RULES = [
    "rules:\n  - block: [facebook, twitter]\n    reason: no\n  - allow: youtube # films\n    reason: 'yes'\n",
    "rules:\n- block:\n  - facebook\n  # and\n  - twitter\n  reason: |\n    no\n\n- allow: [\n    youtube,   # films\n  ]\n  reason: >-\n    it\n    may\n",
    'rules: [{block: [facebook, twitter], reason: no},\n  {allow: "youtube", reason: "it may"}]\n',
]
TAILS = [
    "limits:\n  longest_exception: 90 days\n",
    "privacy: {keep_events: 30 days}\n",
    "review:\n  approved_on: 2026-09-01\n  due: 2027-09-01\n  approved_by: |+\n    The committee\n\n",
    "review: {approved_on: 2026-09-01, due: 2027-09-01, approved_by: >\n    x y}\n".replace(
        ">\n    x y", '"x\n  y"'
    ),
]
BANNERS = [
    "",
    "\n",
    "\n\n# --- next ---\n\n",
    "# --- next ---\n",
    "  # --- indented\n",
    "\n#\ttab\n",
    "  # é 😀 \u200e\n\n",
]


@dataclass(frozen=True)
class Layout:
    """A policy's text, and the ids of its exceptions in order."""

    data: bytes
    ids: tuple[str, ...]


def _item(draw: st.DrawFn, name: str) -> dict[str, str]:
    """Draw one exception: its keys with their values as they are written in block style."""
    pieces = {
        "id": draw(st.sampled_from([name, f'"{name}"', f"'{name}'"])),
        "allow": draw(st.sampled_from(["[facebook.com]", "youtube", "[ youtube, facebook ]", '"youtube"'])),
        "until": draw(st.sampled_from(["2026-12-18", '"2026-12-18 12:10"', "'2026-12-01'"])),
        "reason": draw(st.sampled_from(["a lesson", '"a: b"', "it's so"])),
    }
    if draw(st.booleans()):
        pieces["for"] = draw(st.sampled_from(["[staff]", "staff", "[staff, office-pc]"]))
    order = draw(st.permutations(list(pieces)))
    return {key: pieces[key] for key in order}


def _block(draw: st.DrawFn, names: list[str]) -> str:
    indent = draw(st.sampled_from(["", "  ", "    "]))
    gap = draw(st.sampled_from([" ", "   "]))
    between = draw(
        st.sampled_from(
            ["", "\n", f"{indent}# between\n", "\n# about the next\n", f"{indent}    # of it\n", "\n\n"]
        )
    )
    texts = []
    for name in names:
        item = _item(draw, name)
        if draw(st.integers(0, 4)) == 0:
            inside = ", ".join(f"{key}: {value}" for key, value in item.items())
            texts.append(f"{indent}-{gap}{{{inside}}}  # inline\n")
            continue
        comment = draw(st.sampled_from(["", "  # why", "\t# tab"]))
        lines = [f"{key}: {value}{comment}" for key, value in item.items()]
        deeper = "\n" + indent + " " + " " * len(gap)
        if draw(st.integers(0, 3)) == 0:
            style = draw(st.sampled_from(["|", "|-", "|+", ">", ">+", ">-"]))
            lines = [line for line in lines if not line.startswith("reason")]
            lines.append(
                f"reason: {style}{deeper}  words # no comment{deeper}  more"
                + draw(st.sampled_from(["", "\n", "\n\n"]))
            )
        start = draw(st.sampled_from([gap, gap, gap, deeper if gap == " " else gap]))
        texts.append(f"{indent}-{start}" + deeper.join(lines) + "\n")
    after = draw(st.sampled_from(["", f"{indent}  # trailing\n", f"{indent}# same\n"]))
    return (
        draw(
            st.sampled_from(
                ["exceptions:\n", "exceptions:   # here\n", '"exceptions" :\n', "exceptions:\n  # first\n\n"]
            )
        )
        + between.join(texts)
        + after
    )


def _flow(draw: st.DrawFn, names: list[str]) -> str:
    texts = []
    for name in names:
        item = _item(draw, name)
        separator = draw(st.sampled_from([", ", ",", ",\n     "]))
        texts.append("{" + separator.join(f"{key}: {value}" for key, value in item.items()) + "}")
    opening, middle, closing = draw(
        st.sampled_from(
            [
                ("[", ", ", "]"),
                ("[ ", " , ", " ]"),
                ("[", ", ", ",]"),
                ("[\n  ", ",\n  ", "\n]"),
                ("[\n  ", ",   # c, d\n  ", ",   # last\n  ]"),
                ("[\n  ", ",\n  # own\n  ", "  # last\n  # more\n ]"),
                ("[\n  ", ",\n  ", "]"),
                ("[{id: first, allow: youtube, until: 2026-12-18, reason: x},\n  ", "\n  , ", "\n ]"),
            ]
        )
    )
    if closing.endswith("]") and "\n]" in closing:
        closing = closing.replace("\n]", "\n ]")
    return f"exceptions: {opening}{middle.join(texts)}{closing}" + draw(st.sampled_from(["\n", "  # flow\n"]))


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Draw a policy with none to three exceptions in any layout."""
    names = [f"REQ-{number}" for number in range(draw(st.integers(0, 3)))]
    if not names:
        section = draw(
            st.sampled_from(
                [
                    "",
                    "",
                    "exceptions: []\n",
                    "exceptions: [] # none\n",
                    "exceptions:  [ ]\n",
                    "exceptions: []\n  # here\n",
                    "exceptions: [\n  # none\n  ]\n",
                ]
            )
        )
    elif draw(st.booleans()):
        section = _block(draw, names)
    else:
        section = _flow(draw, names)
        names = ["first", *names] if "id: first" in section else names
    sections = [draw(st.sampled_from(RULES)), draw(st.sampled_from(TAILS)), section]
    pieces = [piece + draw(st.sampled_from(BANNERS)) for piece in draw(st.permutations(sections))]
    text = draw(st.sampled_from(["", "# top\n", "---\n", "%YAML 1.1\n---\n"])) + HEAD + "".join(pieces)
    text += draw(st.sampled_from(["", "", "...\n", "...\n# after\n", "# end"]))
    if draw(st.booleans()) and not text.endswith(("|+\n\n", "\n\n")):
        text = text.removesuffix("\n")
    text = text.replace("\n", draw(st.sampled_from(["\n", "\n", "\r\n"])))
    mark = draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"]))
    return Layout(mark + text.encode(), tuple(names))
