"""The settings of the box: where things listen, whom they ask, where they keep what they must remember.

What the school decides stands in policy.yaml, not here. Every setting has a default that works on one machine;
`schoolgate.toml` overrides it, and an environment variable named after the key overrides both
(`SCHOOLGATE_DNS_LISTEN` for `listen` in `[dns]`).
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from schoolgate_policy.errors import SchoolgateError
from schoolgate_policy.names import canonical_host

DEFAULT_FILE = Path("schoolgate.toml")
_PREFIX = "SCHOOLGATE_"
_NOT_SETTINGS = frozenset({"SCHOOLGATE_POLICY", "SCHOOLGATE_SETTINGS"})  # options of the command line


class SettingsError(SchoolgateError):
    """Settings that cannot be used; one line for each thing that is wrong."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Endpoint(NamedTuple):
    """An IP address and a port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(text: object) -> object:
    """Read `127.0.0.1:5353` or `[::1]:5353`."""
    if isinstance(text, Endpoint):
        return text
    if not isinstance(text, str):
        raise ValueError(f"`{text}` is not ADDRESS:PORT in quotes, such as \"127.0.0.1:5353\"")  # noqa: TRY004 - pydantic
    match = re.fullmatch(r"\[(?P<six>[^\]]+)\]:(?P<p6>\d+)|(?P<four>[^:]+):(?P<p4>\d+)", text)
    if not match:
        raise ValueError(f"`{text}` is not ADDRESS:PORT, such as 127.0.0.1:5353 or [::1]:5353")
    host, port = match["six"] or match["four"], int(match["p6"] or match["p4"])
    if port > 65535:
        raise ValueError(f"`{text}`: a port is at most 65535")
    try:
        return Endpoint(str(ip_address(host)), port)
    except ValueError:
        raise ValueError(f"`{text}`: `{host}` is not an IP address") from None


def _parse_upstream(text: object) -> object:
    """Check `ADDRESS[:PORT]`, `[ADDRESS]:PORT` or `tls://ADDRESS[:PORT]#NAME`; it stays text."""
    if not isinstance(text, str):
        return text
    rest, _, name = text.removeprefix("tls://").partition("#")
    if text.startswith("tls://") and not name:
        raise ValueError(f"`{text}`: an upstream over TLS needs its name, such as tls://9.9.9.9#dns.quad9.net")
    try:
        if name:
            canonical_host(name)
        try:
            ip_address(rest)
        except ValueError:
            parse_endpoint(rest)
    except ValueError:
        raise ValueError(
            f"`{text}` is not an upstream resolver: ADDRESS, ADDRESS:PORT or tls://ADDRESS#NAME"
        ) from None
    return text


def _parse_address(text: object) -> object:
    if not isinstance(text, str):
        return text
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f"`{text}` is not an IP address") from None


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _split_pairs(value: object) -> object:
    """Read `staff=8410,pupils=8420`, the spelling of a table in an environment variable."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    return {key.strip(): int(text) if text.strip().isdigit() else text.strip() for key, _, text in pairs}


type ListenAt = Annotated[Endpoint, BeforeValidator(parse_endpoint)]
type Upstream = Annotated[str, BeforeValidator(_parse_upstream)]
type Address = Annotated[str, BeforeValidator(_parse_address)]
type Port = Annotated[int, Field(ge=0, le=65535)]
type Workers = Annotated[int, Field(ge=1, le=64)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DnsSettings(_Section):
    """`[dns]`: the sinkhole."""

    listen: Annotated[tuple[ListenAt, ...], BeforeValidator(_split), Field(min_length=1)] = (
        Endpoint("127.0.0.1", 5353),
    )
    upstreams: Annotated[tuple[Upstream, ...], BeforeValidator(_split)] = ()  # none: the system's resolvers
    workers: Workers = 1
    block_page_address: Annotated[tuple[Address, ...], BeforeValidator(_split)] = ()


class ProxySettings(_Section):
    """`[proxy]`: the web proxy."""

    explicit: ListenAt | None = Endpoint("127.0.0.1", 8080)
    transparent: Annotated[dict[str, Port], BeforeValidator(_split_pairs)] = Field(default_factory=dict)
    upstream_ca: Path | None = None
    workers: Workers = 1


class PortalSettings(_Section):
    """`[portal]`: the pages that people see."""

    listen: ListenAt = Endpoint("127.0.0.1", 8000)
    url: str = Field(default="", pattern=r"^(https?://[^/\s]+)?/?$")  # empty: http:// and `listen`


class MetricsSettings(_Section):
    """`[metrics]`: where each part serves /metrics, /livez and /readyz."""

    dns: ListenAt = Endpoint("127.0.0.1", 9153)
    proxy: ListenAt = Endpoint("127.0.0.1", 9154)
    portal: ListenAt = Endpoint("127.0.0.1", 9155)


class LogSettings(_Section):
    """`[log]`: what is said on stderr. `debug` names people's addresses and the hosts they ask for."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(_Section):
    """All settings of the box."""

    state: Path = Path("state")
    dns: DnsSettings = DnsSettings()
    proxy: ProxySettings = ProxySettings()
    portal: PortalSettings = PortalSettings()
    metrics: MetricsSettings = MetricsSettings()
    interfaces: Annotated[dict[str, str], BeforeValidator(_split_pairs)] = Field(default_factory=dict)
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _no_port_twice(self) -> "Settings":
        named = {
            **{f"dns.listen[{i}]": at for i, at in enumerate(self.dns.listen)},
            **({"proxy.explicit": self.proxy.explicit} if self.proxy.explicit else {}),
            "portal.listen": self.portal.listen,
            "metrics.dns": self.metrics.dns,
            "metrics.proxy": self.metrics.proxy,
            "metrics.portal": self.metrics.portal,
        }
        seen: dict[Endpoint, str] = {}
        for key, endpoint in named.items():
            if endpoint.port and (other := seen.setdefault(endpoint, key)) != key:
                raise ValueError(f"{key} and {other} are both {endpoint}; each needs a port of its own")
        return self


def load_settings(file: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings: defaults, then the file, then the environment.

    Without `file`, `schoolgate.toml` in the working folder is read if it exists. Relative paths in the file are
    relative to the file's folder.

    Raises:
        SettingsError: something is wrong, each in one line that begins with the file and the key.

    """
    source = file or DEFAULT_FILE
    document = _read(source) if file or source.exists() else {}
    for key in ("state",):
        if isinstance(document.get(key), str):
            document[key] = str(source.parent / document[key])
    proxy = document.get("proxy")
    if isinstance(proxy, dict) and isinstance(proxy.get("upstream_ca"), str):
        proxy["upstream_ca"] = str(source.parent / proxy["upstream_ca"])
    variables = _overlay(document, environ)
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        raise SettingsError([_line(issue, source, variables) for issue in error.errors()]) from None


def _read(source: Path) -> dict[str, Any]:
    try:
        with source.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise SettingsError([f"{source}: cannot be read: {(error.strerror or str(error)).lower()}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{source}: {str(error)[:1].lower()}{str(error)[1:]}"]) from None


def _known_variables() -> dict[str, tuple[str, ...]]:
    known: dict[str, tuple[str, ...]] = {}
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, _Section):
            for key in section.model_fields:
                known[f"{_PREFIX}{name}_{key}".upper()] = (name, key)
        else:
            known[f"{_PREFIX}{name}".upper()] = (name,)
    return known


def _overlay(document: dict[str, Any], environ: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Put the environment's settings over the document's; return which variable gave which key."""
    known = _known_variables()
    given: dict[tuple[str, ...], str] = {}
    for name in sorted(environ):
        if not name.startswith(_PREFIX) or name in _NOT_SETTINGS:
            continue
        if name not in known:
            raise SettingsError([f"{name}: no such setting; {_suggest(name, list(known))}"])
        *sections, key = path = known[name]
        place = document
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                break  # the file is wrong here, and validation says so
        else:
            place[key] = environ[name]
            given[path] = name
    return given


def _line(issue: Any, source: Path, variables: Mapping[tuple[str, ...], str]) -> str:
    path = tuple(str(part) for part in issue["loc"])
    variable = variables.get(path[:2]) or variables.get(path[:1])
    where = variable or f"{source}: {'.'.join(path)}".removesuffix(": ")
    message: str = issue["msg"].removeprefix("Value error, ")
    if issue["type"] == "extra_forbidden":
        message = f"no such setting; {_suggest(path[-1], _keys(path[:-1]))}"
    return f"{where}: {message[:1].lower()}{message[1:]}"


def _keys(path: tuple[str, ...]) -> list[str]:
    section: Any = Settings
    for part in path:
        section = section.model_fields[part].annotation
    return list(section.model_fields)


def _suggest(name: str, available: list[str]) -> str:
    close = difflib.get_close_matches(name, available, n=1)
    hint = f"did you mean `{close[0]}`? " if close else ""
    return f"{hint}available: {', '.join(sorted(available))}"


def system_resolvers(file: Path = Path("/etc/resolv.conf")) -> tuple[str, ...]:
    """Return the addresses of the system's own resolvers, in order; none if the file cannot be read."""
    try:
        lines = file.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    found = []
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                found.append(str(ip_address(words[1])))
            except ValueError:
                continue  # a zone such as fe80::1%eth0 is no place to forward to
    return tuple(found)
