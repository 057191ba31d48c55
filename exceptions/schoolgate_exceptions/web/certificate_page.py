"""The page that offers the school's certificate and shows whether this device trusts it, without scripts.

It works on plain HTTP: a device that does not trust the certificate cannot open a page that is signed by it.
"""

from schoolgate_exceptions.certificate_files import (
    FORMS,
    common_name,
    content,
    fingerprint,
    read_certificates,
)
from schoolgate_exceptions.ports import Page
from schoolgate_exceptions.web import failures
from schoolgate_exceptions.web.desk import Counter
from schoolgate_exceptions.web.frame import allow_picture, raw
from schoolgate_exceptions.web.visit import Visit
from schoolgate_policy.certificate_check import ORIGIN, address


def show(counter: Counter, visit: Visit) -> Page:
    """Show the check, the files, and what trusting the certificate means."""
    known = [
        {
            "number": number,
            "name": common_name(one),
            "until": one.not_valid_after_utc,
            "fingerprint": fingerprint(one),
        }
        for number, one in enumerate(read_certificates(counter.service.office.state), 1)
    ]
    page = counter.page(
        visit, "status/certificate.html.j2", certificates=known, check=address(visit.t.language)
    )
    return allow_picture(page, ORIGIN)


def download(counter: Counter, visit: Visit) -> Page:
    """Hand a certificate over as a file."""
    number, _, form = visit.parts["file"].removeprefix("schoolgate-").partition(".")
    known = read_certificates(counter.service.office.state)
    if form not in FORMS or not number.isascii() or not number.isdigit() or not 0 < int(number) <= len(known):
        return failures.missing(counter, visit)
    body = content(known[int(number) - 1], form, counter.policy.school.name)
    name = f'attachment; filename="schoolgate-{number}.{form}"'
    return raw(200, FORMS[form].media_type, body, (("Content-Disposition", name),))
