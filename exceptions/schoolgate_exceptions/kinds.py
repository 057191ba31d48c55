"""What is asked for, and what for: the closed sets a form offers."""

from enum import StrEnum


class Kind(StrEnum):
    """What somebody asks for."""

    UNBLOCK = "unblock"
    BLOCK = "block"
    REPORT = "report"  # `look at this page`, whether or not it was blocked
    OFFICIAL_USE = "official-use"
    LESSON_WINDOW = "lesson-window"

    @property
    def opens(self) -> bool:
        """Whether it asks for something to be opened."""
        return self in {Kind.UNBLOCK, Kind.OFFICIAL_USE, Kind.LESSON_WINDOW}

    @property
    def merges(self) -> bool:
        """Whether two people who ask the same make one case; what a report or official use says is its own."""
        return self in {Kind.UNBLOCK, Kind.BLOCK}


class Purpose(StrEnum):
    """What it is for."""

    LESSON = "lesson"
    HOMEWORK = "homework"
    CLUB = "club"
    WORK = "work"
    OFFICIAL = "official-use"
    RECRUITMENT = "recruitment-vetting"  # offered so that it can be refused with its reason
    OTHER = "other"


class Breadth(StrEnum):
    """How much would open, the narrowest first. The policy language opens a name always with all below it."""

    PAGE = "page"  # host and path: only where inspection sees it
    HOST = "host"  # the very name that was asked for
    SITE = "site"  # the registrable name and all below it
    SERVICE = "service"  # every name of a service of the catalogue
