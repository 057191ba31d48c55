"""Signing in with the school's own accounts, put together from the settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from schoolgate.ask_links import portal_url
from schoolgate.credentials import secret_file
from schoolgate.settings import Settings
from schoolgate_exceptions.roles import Role
from schoolgate_exceptions.service import Service

if TYPE_CHECKING:
    from schoolgate_exceptions.sso import Provider


@dataclass(frozen=True, slots=True)
class SignOn:
    """The ways of signing in besides passwords, by the name on their button."""

    providers: "Mapping[str, Provider]" = field(default_factory=dict)

    def close(self) -> None:
        """Close what they hold open."""
        for provider in self.providers.values():
            provider.close()


def sign_on(settings: Settings, service: Service) -> SignOn:
    """Return the provider of `[sso]`; none where it has no issuer.

    Raises:
        OSError: the file of the secret cannot be read.
        ValueError: there is nothing in it.
        ImportError: the extra `sso` is not installed.

    """
    chosen = settings.sso
    if not chosen.issuer or chosen.secret_file is None:
        return SignOn()
    secret = secret_file(chosen.secret_file).read_text("utf-8").strip()
    if not secret:
        raise ValueError(f"secret_file: {chosen.secret_file}: is empty")
    try:
        from schoolgate_exceptions.sso import Provider, ProviderConfig  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError(
            f"{error.name} is not installed; install schoolgate with the extra `sso`"
        ) from error
    groups = {name: tuple(Role(role) for role in roles) for name, roles in chosen.groups.items()}
    config = ProviderConfig(
        chosen.name, chosen.issuer, chosen.client_id, secret, chosen.domain, groups, chosen.groups_claim
    )
    back = f"{portal_url(settings)}/sign-in/back/{quote(chosen.name)}"
    return SignOn({chosen.name: Provider(service.office, config, back)})
