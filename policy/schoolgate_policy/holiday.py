"""Bank holidays of the four nations, from the `holidays` package, offline."""

from collections.abc import Iterable
from datetime import date
from functools import cache

_SUBDIVISIONS = {"england": "ENG", "wales": "WLS", "scotland": "SCT", "northern-ireland": "NIR"}


def bank_holidays(nation: str, years: Iterable[int]) -> frozenset[date]:
    """Return the bank holidays of a nation (`none`: none) in some years."""
    subdivision = _SUBDIVISIONS.get(nation)
    if subdivision is None:
        return frozenset()
    return frozenset(day for year in years for day in _year(subdivision, year))


@cache
def _year(subdivision: str, year: int) -> frozenset[date]:
    from holidays import country_holidays  # noqa: PLC0415 - half of the load time of a policy without calendar

    return frozenset(country_holidays("GB", subdiv=subdivision, years=year))
