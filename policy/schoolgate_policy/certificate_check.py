"""The one name that the box itself answers for, so that a device can see whether it trusts the school's certificate.

A page on plain HTTP shows what lies at `URL`. Only the school's certificate authority signs for this name, so it is
seen where that is trusted, and nowhere else. DNS answers the name with the box's address, the proxy opens and answers
the connection; nothing is ever forwarded. `.internal` is reserved for names like it.
"""

HOST = "certificate-check.schoolgate.internal"
ORIGIN = f"https://{HOST}"
YES = {
    "en": "Yes: this device trusts the certificate.",
    "cy": "Ydy: mae'r ddyfais hon yn ymddiried yn y dystysgrif.",
}


def address(language: str) -> str:
    """Return where a picture lies that says yes."""
    return f"{ORIGIN}/{language}.svg"


def picture(path: str) -> bytes:
    """Return the picture at a path, an SVG that says yes in its language; English at any other."""
    text = YES.get(path.removeprefix("/").removesuffix(".svg"), YES["en"])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 44" width="480" height="44" role="img" aria-label="{text}">'
        f'<title>{text}</title><rect width="480" height="44" rx="8" fill="#dff3e4"/>'
        '<path d="M16 22l7 7 13-14" fill="none" stroke="#0b6b35" stroke-width="4" stroke-linecap="round"/>'
        f'<text x="48" y="28" font-family="sans-serif" font-size="17" fill="#0b3d20">{text}</text></svg>\n'
    ).encode()
