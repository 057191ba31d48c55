"""Feed the readers of DNS messages with what a coverage-guided fuzzer comes up with; not part of the tests.

`make fuzz` runs each target for SECONDS_EACH (60). A failure prints the bytes, and leaves them in a file.
"""

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

SUPPORT = Path(__file__).parents[1] / "support"
sys.path.insert(0, str(SUPPORT))

with atheris.instrument_imports(include=["schoolgate_dns"]):
    import dns_targets

SEEDS = {
    "client_message": [dns_targets.QUERY, dns_targets.QUERY[:12] + b"\x0cfacebook.com\0\0\1\0\1"],
    "upstream_message": [
        b"\0\1\0\0\0\0" + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0\1",
        b"\0\2\0\0\0\0\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x10\xc0\x10\0\1\0\1\0\0\0\x3c\0\4\xc6\x33\x64\7",
        b"\0\1\0\0\0\0" + b"\xc0\x0c\0\x41\0\1\0\0\0\x3c\0\x0f\0\1\0\0\1\0\3\2h3\0\5\0\1x",
        b"\0\0\0\1\0\1" + b"\xc0\x10\0\6\0\1\0\0\0\x3c\0\x16\0\0" + bytes(20) + b"\0\0\x29\4\xd0\0\0\0\0\0\0",
    ],
    "service_record": [b"\0\1\0\0\0\0\2\0\1\0\1\0\6\2h3\2h2", b"\0\0\3abc\0"],
    "upstream_name": [b"tls://9.9.9.9#dns.quad9.net", b"[2620:fe::fe]:53"],
}


def fuzz(name: str, seconds: int) -> None:
    """Run one target in this process, which ends with it."""
    target = {one.__name__: one for one in dns_targets.TARGETS}[name]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(SEEDS[name]):
            Path(corpus, str(number)).write_bytes(seed)
        limits = [f"-max_total_time={seconds}", "-max_len=600", "-timeout=5", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *limits, f"-seed={random.randrange(2**31)}", corpus], target)
        atheris.Fuzz()


def main() -> int:
    """Run every target in a process of its own; return 1 if any failed."""
    seconds = int(os.environ.get("SECONDS_EACH", "60"))
    if len(sys.argv) > 1:
        fuzz(sys.argv[1], seconds)
    failed = [
        name for name in SEEDS if subprocess.run([sys.executable, __file__, name], check=False).returncode
    ]
    print(f"failed: {', '.join(failed)}" if failed else "no target failed")  # noqa: T201 - its one result
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
