"""A real browser loads shapes of ordinary sites directly and through Schoolgate: nothing may differ."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import trustme
from shape_origin import Shape, ShapeOrigin, read_shapes

from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy
from schoolgate_proxy.config import ProxyConfig
from schoolgate_proxy.ports import Uncounted
from schoolgate_proxy.server import ProxyServer

pytestmark = pytest.mark.browser
SHAPES = read_shapes()
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--ignore-certificate-errors"),
]
POLICY = """
version: 1
school: {name: Perryfields, timezone: Europe/London, bank_holidays: england}
networks: {pupils: {people: pupil, addresses: [127.0.0.0/8], inspection: INSPECTION, otherwise: allow, safe_search: strict}}
unknown_clients: pupils
rules: [{block: [category:social-media, category:circumvention], reason: no}]
"""


@dataclass
class Loaded:
    """What a browser showed of a page."""

    title: str = ""
    console: list[str] = field(default_factory=list)
    statuses: set[tuple[str, int]] = field(default_factory=set)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ShapeOrigin, Path]]:
    """The server of all shapes, and its authority."""
    ca = trustme.CA()
    file = tmp_path_factory.mktemp("shapes") / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    server = ShapeOrigin(ca, SHAPES)
    yield server, file
    server.close()


@pytest.fixture(scope="module", params=["all", "needed", "names"])
def proxy(
    request: pytest.FixtureRequest,
    origin: tuple[ShapeOrigin, Path],
    kit: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[int, Any]]:
    """Schoolgate in front of it, with everything opened, with nothing opened that need not be, and with nothing at all."""
    server, file = origin
    state = tmp_path_factory.mktemp("state")
    (state / "policy.yaml").write_text(POLICY.replace("INSPECTION", request.param))
    notes, names = kit.Notes(), kit.Names(server)
    source = kit.Source(Engine(load_policy(state / "policy.yaml")))
    config = ProxyConfig(
        state=state,
        explicit=(("127.0.0.1", 0),),
        upstream_ca=file,
        allowed_upstream=(ip_network("127.0.0.1/32"),),
        resolve=names.resolve,
    )
    with kit.in_thread(lambda clock: ProxyServer(config, source, notes, Uncounted(), clock)) as running:
        notes.ca = state / "ca.pem"
        yield running.addresses[0].address[1], notes


@pytest.fixture(scope="module")
def browsers(origin: tuple[ShapeOrigin, Path], proxy: tuple[int, Any]) -> Iterator[tuple[Any, Any, Any]]:
    """A browser that goes directly, one that goes through Schoolgate, and what starts more of them."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    server, _ = origin
    rules = f"--host-resolver-rules=MAP *:443 127.0.0.1:{server.https}, MAP *:80 127.0.0.1:{server.http}"
    with sync_playwright() as playwright:
        direct = playwright.chromium.launch(executable_path=path, args=[*FLAGS, rules])
        through = playwright.chromium.launch(
            executable_path=path, args=FLAGS, proxy={"server": f"http://127.0.0.1:{proxy[0]}"}
        )
        yield direct.new_context(), through.new_context(), playwright
        direct.close()
        through.close()


def _said(message: Any) -> list[str]:
    """Return a line of the console; what Chromium says of a machine under load is not the site's doing."""
    return [] if message.text.startswith("Slow network is detected") else [f"{message.type}: {message.text}"]


def _failed(request: Any) -> list[str]:
    """Name a request that failed; one that the page itself gave up, such as a closed event source, did not."""
    return [] if request.failure == "net::ERR_ABORTED" else [f"failed: {request.url} {request.failure}"]


def title_at_the_end(page: Any) -> str:
    """Wait at most 30 s for the script's last word.

    Asked again and again from outside: a condition that the page itself evaluates is what a page's
    own content security policy may forbid.
    """
    for _ in range(600):
        if re.match("done|failed", title := page.title()):
            return title
        page.wait_for_timeout(50)
    return f"{page.title()} (not ended in 30 s)"


def load(context: Any, shape: Shape) -> Loaded:
    """Open a shape and wait until its script has ended."""
    page = context.new_page()
    loaded = Loaded()
    page.on("console", lambda one: loaded.console.extend(_said(one)))
    page.on("pageerror", lambda error: loaded.console.append(f"page error: {error}"))
    page.on("requestfailed", lambda one: loaded.console.extend(_failed(one)))
    page.on("response", lambda one: loaded.statuses.add((one.url.partition("?")[0], one.status)))
    try:
        page.goto(shape.url, timeout=30_000, wait_until="commit")
        loaded.title = title_at_the_end(page)
    except Exception as error:
        loaded.title = f"{page.title()} ({str(error).splitlines()[0]})"
    finally:
        page.close()
    return loaded


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_shape_loads_as_it_does_directly(
    shape: Shape, browsers: tuple[Any, Any, Any], proxy: tuple[int, Any]
) -> None:
    """The page ends with the same result, statuses and console messages as without Schoolgate."""
    if any("file" in file and not Path(file["file"]).is_file() for file in shape.files.values()):
        pytest.skip("a file of the shape is not installed")
    _, notes = proxy
    notes.clear()
    direct, through = (load(context, shape) for context in browsers[:2])
    assert direct.title == f"done {shape.result}".strip(), direct
    assert through == direct
    assert not notes.faults
    assert not notes.techniques


def _store(folder: Path, *authorities: Path) -> None:
    """Make the store of authorities that Chromium looks into, below a home folder, and trust some."""
    store = f"sql:{folder / '.pki' / 'nssdb'}"
    (folder / ".pki" / "nssdb").mkdir(parents=True)
    subprocess.run(["certutil", "-d", store, "-N", "--empty-password"], check=True)
    for number, file in enumerate(authorities):
        subprocess.run(
            ["certutil", "-d", store, "-A", "-n", f"{number}", "-t", "C,,", "-i", file], check=True
        )


def test_a_browser_that_trusts_the_school_needs_no_leave(
    origin: tuple[ShapeOrigin, Path], proxy: tuple[int, Any], browsers: tuple[Any, Any, Any], tmp_path: Path
) -> None:
    """With the authority in its store as on a school's device, pages load with nothing overlooked; without it, none."""
    chromium = shutil.which("chromium")
    if chromium is None or shutil.which("certutil") is None:
        pytest.skip("Chromium or certutil (libnss3-tools) is not installed")
    from playwright.sync_api import Error

    port, notes = proxy
    opened = "inspection: all" in (notes.ca.parent / "policy.yaml").read_text()
    _store(tmp_path / "school", notes.ca, *(() if opened else [origin[1]]))
    _store(tmp_path / "home")
    strict = [flag for flag in FLAGS if flag != "--ignore-certificate-errors"]
    server: Any = {"server": f"http://127.0.0.1:{port}"}
    for home in ("school", "home"):
        browser = browsers[2].chromium.launch(
            executable_path=chromium,
            args=strict,
            proxy=server,
            env={**os.environ, "HOME": str(tmp_path / home)},
        )
        context = browser.new_context()
        if home == "home":
            with pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"):
                context.new_page().goto(SHAPES[0].url)
        else:
            for shape in SHAPES[:5]:
                loaded = load(context, shape)
                assert loaded.title == f"done {shape.result}".strip(), loaded
        browser.close()


def test_there_are_thirty_shapes() -> None:
    """The data holds at least thirty different shapes."""
    assert len({shape.name for shape in SHAPES}) >= 30
