"""`schoolgate services`: the sites and apps that a policy can name."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schoolgate.commands.options import AsJson, read_settings, refuse

if TYPE_CHECKING:
    from schoolgate_policy.model import Catalogue, Service


def services(
    name: Annotated[
        str, typer.Argument(help="An id, a title, a category, a domain or a whole address; none: all.")
    ] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """List what the catalogue knows; exit 1 if it does not know NAME."""
    from schoolgate_policy.catalogue_installed import load_installed
    from schoolgate_policy.errors import PolicyError

    try:
        catalogue, _ = load_installed(read_settings(None).state)
    except PolicyError as error:
        refuse(error.issues)
    found, near = _find(catalogue, name)
    if name and not found:
        hint = f"did you mean {', '.join(near)}?" if near else "`schoolgate services` lists all"
        refuse([f"no service or category `{name}`; {hint}"], code=1)
    if as_json:
        typer.echo(json.dumps([_as_mapping(service) for service in found], ensure_ascii=False, indent=2))
    elif len(found) == 1:
        typer.echo(_in_full(found[0]))
    else:
        width = max(len(service.id) for service in found)
        for service in found:
            typer.echo(
                f"{service.id:{width}}  {service.title} ({service.category}): {', '.join(service.domains)}"
            )


def _find(catalogue: "Catalogue", name: str) -> "tuple[list[Service], tuple[str, ...]]":
    from schoolgate_policy.catalogue_search import search

    if not name:
        everything = sorted(catalogue.services.values(), key=lambda service: (service.category, service.id))
        return everything, ()
    result = search(catalogue, name)
    return list(result.services), result.near


def _as_mapping(service: "Service") -> dict[str, Any]:
    age = service.min_age
    return {
        "id": service.id,
        "title": service.title,
        "category": service.category,
        "min_age": age.years if age else None,
        "min_age_source": age.source if age else None,
        "min_age_checked": age.checked.isoformat() if age and age.checked else None,
        "domains": list(service.domains),
        "shared_domains": list(service.shared_domains),
        "frontends": list(service.frontends),
        "notes": service.notes,
    }


def _in_full(service: "Service") -> str:
    rows = {
        "id": service.id,
        "title": service.title,
        "category": service.category,
        "minimum age": f"{service.min_age.years} ({service.min_age.source})" if service.min_age else "",
        "domains": ", ".join(service.domains),
        "shared domains": ", ".join(service.shared_domains),
        "front ends": ", ".join(service.frontends),
        "notes": service.notes,
    }
    return "\n".join(f"{key:15} {value}" for key, value in rows.items() if value)
