"""Sanctions as the portal writes them into the state folder: `sanctions.json`."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, IPvAnyAddress, ValidationError

from schoolgate_policy.errors import PolicyError, PolicyIssue
from schoolgate_policy.fields import TargetField
from schoolgate_policy.model import Catalogue, Sanction, TargetKind
from schoolgate_policy.names import parse_address


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    address: IPvAnyAddress
    starts: AwareDatetime | None = Field(None, alias="from")
    until: AwareDatetime
    reason: Annotated[str, Field(min_length=1)]
    allow: list[TargetField] = []


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sanctions: list[_Entry]


def parse_sanctions(data: bytes, file: str, catalogue: Catalogue) -> tuple[Sanction, ...]:
    """Read the sanctions in force and to come.

    Raises:
        PolicyError: the file is not what the portal writes.

    """
    try:
        entries = _File.model_validate_json(data).sanctions
    except ValidationError as error:
        raise PolicyError(
            tuple(
                PolicyIssue(file, 0, 0, ".".join(map(str, detail["loc"])), detail["msg"])
                for detail in error.errors(include_url=False)
            )
        ) from None
    unknown = [
        PolicyIssue(file, 0, 0, f"sanctions.{number}.allow", f"unknown {target.kind} `{target.value}`")
        for number, entry in enumerate(entries)
        for target in entry.allow
        if (target.kind is TargetKind.SERVICE and target.value not in catalogue.services)
        or (target.kind is TargetKind.CATEGORY and target.value not in catalogue.categories)
        or target.kind is TargetKind.LIST
    ]
    if unknown:
        raise PolicyError(tuple(unknown))
    return tuple(
        Sanction(
            str(parse_address(str(entry.address))),
            _utc(entry.until),
            entry.reason,
            tuple(entry.allow),
            _utc(entry.starts) if entry.starts else None,
        )
        for entry in entries
    )


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)
