"""Newer catalogue data from a file: taken when its origin is proven and it is sound, refused in words otherwise."""

import base64
import hashlib
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from schoolgate_policy.catalogue_file import load_catalogue, read_texts, shipped
from schoolgate_policy.catalogue_update import (
    MAX_BYTES,
    CatalogueUpdateRefused,
    Checksum,
    Signature,
    pack,
    read_update,
)
from schoolgate_policy.errors import PolicyError

CURRENT = load_catalogue()
OLDER = replace(CURRENT, version="2026-11-20")
DATA = pack(read_texts(shipped()))
KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def checksum(data: bytes) -> Checksum:
    return Checksum(hashlib.sha256(data).hexdigest())


def test_a_packed_catalogue_is_the_same_catalogue() -> None:
    """What was packed into one file says what the folder says."""
    assert read_update(DATA, checksum(DATA), OLDER) == CURRENT


def test_a_verified_file_can_be_read_again(tmp_path: Path) -> None:
    """The file that was accepted is what the next start reads."""
    (tmp_path / "services.yaml").write_bytes(DATA)
    assert load_catalogue(tmp_path / "services.yaml") == CURRENT


def test_a_wrong_hash_is_refused() -> None:
    """One changed byte, and the file is not read at all."""
    with pytest.raises(CatalogueUpdateRefused, match=r"the SHA-256 is [0-9a-f]{64}, expected"):
        read_update(DATA + b"\n", checksum(DATA), OLDER)


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64, "0" * 63])
def test_a_hash_that_is_none_is_refused(digest: str) -> None:
    """A slip in the hash is told apart from a wrong file."""
    with pytest.raises(CatalogueUpdateRefused, match="is no SHA-256"):
        read_update(DATA, Checksum(digest), OLDER)


def test_a_hash_in_capitals_with_a_newline_is_a_hash() -> None:
    """What sha256sum and people write is accepted."""
    digest = hashlib.sha256(DATA).hexdigest().upper() + "\n"
    assert read_update(DATA, Checksum(digest), OLDER).version == CURRENT.version


@pytest.mark.parametrize("encode", [bytes, base64.b64encode], ids=["raw", "base64"])
def test_a_signed_update_is_taken(encode: type[bytes]) -> None:
    """An Ed25519 signature by the given key proves the file, raw or in base64."""
    proof = Signature(encode(KEY.sign(DATA)), PUBLIC)
    assert read_update(DATA, proof, OLDER) == CURRENT


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        (Signature(KEY.sign(DATA + b"x"), PUBLIC), "not of this file by this key"),
        (Signature(Ed25519PrivateKey.generate().sign(DATA), PUBLIC), "not of this file by this key"),
        (Signature(b"short", PUBLIC), "has to be 64 bytes"),
        (Signature(KEY.sign(DATA), b"no key"), "no PEM public key"),
        (
            Signature(
                KEY.sign(DATA),
                generate_private_key(SECP256R1())
                .public_key()
                .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            ),
            "not for Ed25519",
        ),
    ],
    ids=["other file", "other key", "no signature", "no key", "other kind of key"],
)
def test_a_wrong_signature_is_refused(proof: Signature, said: str) -> None:
    """Every way in which a signature proves nothing has its own words."""
    with pytest.raises(CatalogueUpdateRefused, match=said):
        read_update(DATA, proof, OLDER)


def test_openssl_can_sign_an_update(tmp_path: Path) -> None:
    """Keys and signatures made with the openssl command are understood."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    (tmp_path / "update.yaml").write_bytes(DATA)
    for line in (
        "genpkey -algorithm ed25519 -out key.pem",
        "pkey -in key.pem -pubout -out public.pem",
        "pkeyutl -sign -rawin -in update.yaml -inkey key.pem -out update.sig",
    ):
        subprocess.run([openssl, *line.split()], cwd=tmp_path, check=True, capture_output=True)
    proof = Signature((tmp_path / "update.sig").read_bytes(), (tmp_path / "public.pem").read_bytes())
    assert read_update(DATA, proof, OLDER) == CURRENT


@pytest.mark.parametrize("version", ["2026-11-21", "2026-11-21.2", "2027-01-01"])
def test_older_data_is_refused(version: str) -> None:
    """A replayed update, signed or not, cannot take new names away."""
    with pytest.raises(CatalogueUpdateRefused, match="is not newer than"):
        read_update(DATA, checksum(DATA), replace(CURRENT, version=version))


def test_the_second_change_of_a_day_is_newer() -> None:
    """Versions order by day, then by number, not as text."""
    data = DATA.replace(b'version: "2026-11-21"', b'version: "2026-11-21.10"')
    assert (
        read_update(data, checksum(data), replace(CURRENT, version="2026-11-21.9")).version == "2026-11-21.10"
    )


def test_a_loss_is_refused() -> None:
    """Data with less than half the services is a mistake, not an update."""
    few = pack([item for item in read_texts(shipped()) if "catalogue.yaml" in item[0] or "social" in item[0]])
    with pytest.raises(CatalogueUpdateRefused, match="less than half is a mistake"):
        read_update(few, checksum(few), OLDER)


def test_an_update_cannot_claim_a_public_suffix() -> None:
    """No update makes one service of all British companies, or of all schools."""
    data = DATA.replace(b"domains: [plurk.com]", b"domains: [co.uk, plurk.com]")
    with pytest.raises(PolicyError, match=r"services\.plurk: 'co\.uk' is a public suffix"):
        read_update(data, checksum(data), OLDER)


def test_wrong_data_is_refused_with_its_line() -> None:
    """A proven file with a mistake is refused like a shipped one would be."""
    data = DATA.replace(b"domains: [plurk.com]", b"domain: [plurk.com]")
    with pytest.raises(PolicyError, match=r"new\.yaml:\d+:\d+: services\.plurk"):
        read_update(data, checksum(data), OLDER, "new.yaml")


def test_garbage_and_giants_are_refused() -> None:
    """Bytes that are no text, and files beyond any size that a catalogue has."""
    with pytest.raises(CatalogueUpdateRefused, match="not UTF-8 at byte 0"):
        read_update(b"\xff\xfe", checksum(b"\xff\xfe"), OLDER)
    with pytest.raises(CatalogueUpdateRefused, match="are no catalogue"):
        read_update(b"#" * (MAX_BYTES + 1), checksum(b""), OLDER)
