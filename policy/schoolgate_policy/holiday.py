"""Bank holidays of the four nations, from the `holidays` package, offline."""

import sys
from collections.abc import Iterable
from datetime import date
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

_SUBDIVISIONS = {"england": "ENG", "wales": "WLS", "scotland": "SCT", "northern-ireland": "NIR"}
_COUNTRIES = "holidays.countries"


def bank_holidays(nation: str, years: Iterable[int]) -> frozenset[date]:
    """Return the bank holidays of a nation (`none`: none) in some years."""
    subdivision = _SUBDIVISIONS.get(nation)
    if subdivision is None:
        return frozenset()
    return frozenset(day for year in years for day in _year(subdivision, year))


@cache
def _year(subdivision: str, year: int) -> frozenset[date]:
    return frozenset(_united_kingdom()(subdiv=subdivision, years=year))


@cache
def _united_kingdom() -> Any:
    """Return the package's class of one country, without having all 250 of them imported.

    Its `countries` package imports every one: 7 MB in each process, and two thirds of the time to start. Here it is
    an empty one with the same path for as long as one country is imported, and then gone again. It is imported at all
    only for a policy with bank holidays.
    """
    whole = sys.modules.get(_COUNTRIES)
    if whole is None:
        folders = import_module("holidays").__path__
        sys.modules[_COUNTRIES] = package = ModuleType(_COUNTRIES)
        package.__path__ = [f"{folder}/countries" for folder in folders]
    try:
        return import_module(f"{_COUNTRIES}.united_kingdom").UnitedKingdom
    finally:
        if whole is None:
            del sys.modules[_COUNTRIES]
