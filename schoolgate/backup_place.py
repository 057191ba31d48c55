"""Puts single files back: whole or not at all, and with the owner and the rights that belong there.

Root restores an installed box, whose services run as somebody else: nothing may be left that only root can read.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PRIVATE, _FOR_THE_GROUP = 0o600, 0o640


def put_file(source: Path, target: Path) -> None:
    """Write a file over another, with that one's owner and rights; a new one gets those of its folder and of `source`.

    Raises:
        OSError: it cannot be written; what was there is untouched.

    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(target) as draft:
        shutil.copy(source, draft)
        _give(draft, target.parent.stat())


def put_secret(content: bytes, target: Path) -> None:
    """Write a secret over another, with that one's owner and rights; a new one is as `share_with_folder` says.

    Raises:
        OSError: it cannot be written; what was there is untouched.

    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _replacing(target) as draft:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "wb") as stream:
            stream.write(content)
        share_with_folder(draft)


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """Give a draft beside a file, which then takes its place, and its owner and rights where there is one."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        yield draft
        if target.exists():
            there = target.stat()
            _give(draft, there)
            draft.chmod(there.st_mode & 0o777)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def share_with_folder(file: Path) -> None:
    """Give a file of root's to the owner of its folder; in a folder of root's let the folder's group read it."""
    folder = file.parent.stat()
    _give(file, folder)
    if os.geteuid() == 0 and folder.st_uid == 0 and folder.st_gid != 0:
        file.chmod(_FOR_THE_GROUP)


def give_all(folder: Path, like: Path) -> None:
    """Let a folder and all in it belong to the owner of another one; only root can, and for others nothing changes."""
    owner = like.stat()
    for path in (folder, *folder.rglob("*")):
        _give(path, owner)


def _give(path: Path, owner: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
