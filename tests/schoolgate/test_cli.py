"""The command line: what it prints, and how it ends."""

import json
import shutil
import subprocess
import sys

import pytest
from running import PUPIL, ROOT, STAFF, clean_environment, schoolgate

LESSON = "2026-11-23T10:15"


@pytest.fixture
def folder(tmp_path):
    shutil.copy(ROOT / "policy.yaml", tmp_path)
    return tmp_path


def test_check_finds_the_shipped_policy_fine(folder):
    """The policy that ships has no mistakes."""
    done = schoolgate("policy", "check", cwd=folder)
    assert done.returncode == 0
    assert done.stdout.startswith("policy.yaml: fine: 3 networks")


def test_check_says_every_mistake_with_its_place(folder):
    """All mistakes are printed at once, each with line and column, and the exit code is 1."""
    text = (
        (folder / "policy.yaml")
        .read_text()
        .replace("- block: [twitter, facebook, instagram]", "- block: [twiter, facebok]")
    )
    (folder / "policy.yaml").write_text(text)
    line = next(i for i, row in enumerate(text.splitlines(), 1) if "twiter" in row)
    done = schoolgate("policy", "check", cwd=folder)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2
    assert all(row.startswith(f"policy.yaml:{line}:") for row in done.stdout.splitlines())
    assert "twitter" in done.stdout
    issues = json.loads(schoolgate("policy", "check", "--json", cwd=folder).stdout)
    assert [issue["line"] for issue in issues] == [line, line]


def test_check_without_a_file_cannot_run(tmp_path):
    """A missing file is one line and exit code 2."""
    done = schoolgate("policy", "check", "nowhere.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "nowhere.yaml: no such file\n")


@pytest.mark.parametrize(
    ("url", "address", "code", "first"),
    [
        ("https://www.instagram.com/", PUPIL, 1, "BLOCKED  www.instagram.com/"),
        ("childline.org.uk", PUPIL, 0, "ALLOWED  childline.org.uk"),
        ("https://www.youtube.com/", STAFF, 1, "BLOCKED  www.youtube.com/"),
    ],
)
def test_explain_tells_verdict_and_cause(folder, url, address, code, first):
    """The verdict comes first, the trail after it; the exit code is 0 for allowed and 1 for blocked."""
    done = schoolgate("policy", "explain", url, "--from", address, "--at", LESSON, cwd=folder)
    assert done.returncode == code
    assert done.stdout.splitlines()[0] == first
    assert "looked at:" in done.stdout
    assert "policy.yaml:" in done.stdout


def test_explain_says_when_it_opens(folder):
    """What is blocked for a time says when it opens."""
    done = schoolgate("policy", "explain", "youtube.com", "--from", STAFF, "--at", LESSON, cwd=folder)
    assert "opens   Mon 23 Nov 2026 10:30 GMT" in done.stdout


def test_explain_as_json_has_every_key(folder):
    """The JSON form has the keys that are promised."""
    done = schoolgate(
        "policy", "explain", "https://www.facebook.com/perryfieldspru/news", "--from", "127.0.10.20",
        "--at", "2026-11-23T12:30", "--json", cwd=folder,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    promised = {
        "verdict", "reason", "message", "rule", "exception", "source", "service", "category", "network", "device",
        "at", "valid_until", "considered",
    }  # fmt: skip
    assert promised <= set(answer)
    assert done.returncode == 0
    assert (answer["verdict"], answer["reason"], answer["exception"]) == (
        "allow",
        "exception",
        "REQ-2026-0012",
    )
    assert (answer["network"], answer["device"], answer["service"]) == ("staff", "office-pc", "facebook")
    assert answer["valid_until"] == "2026-11-23T13:10:00+00:00"
    assert {"what", "source", "matched", "because"} == set(answer["considered"][0])


def test_an_instant_without_offset_is_in_the_schools_zone(folder):
    """In summer, 10:15 at the school is 09:15 UTC; with an offset it is exact."""
    for at in ("2027-06-08T10:15", "2027-06-08T09:15Z", "2027-06-08T11:15+02:00"):
        done = schoolgate("policy", "explain", "bbc.co.uk", "--from", STAFF, "--at", at, "--json", cwd=folder)
        assert json.loads(done.stdout)["at"] == "2027-06-08T09:15:00+00:00"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.org"], "--from is needed: the address of whoever asks, such as 127.0.20.5"),
        (["x.org", "--from", "1.2.3"], "--from: `1.2.3` is not an IP address"),
        (["x.org", "--from", PUPIL, "--at", "noon"], "--at: `noon` is not an instant; write 2026-11-23T10:15 or 2026-11-23T10:15Z"),
        (["https://", "--from", PUPIL], "`https://` names no host; write a URL or a host name, such as www.example.org"),
        (["https://x:y/", "--from", PUPIL], "`https://x:y/` is not a URL"),
        (["x.org", "--from", PUPIL, "--policy", "none.yaml"], "none.yaml: cannot be read"),
        (["x.org", "--form", PUPIL], "schoolgate: no such option: --form"),
    ],
)  # fmt: skip
def test_explain_refuses_what_it_cannot_read(folder, arguments, message):
    """What cannot be asked is one line on stderr and exit code 2."""
    done = schoolgate("policy", "explain", *arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(message)


def test_explain_many(folder):
    """With `-`, each line is a question and gets one JSON line; a bad one does not stop the rest."""
    stdin = "\n".join(
        [
            "https://www.instagram.com/", "", "childline.org.uk",
            json.dumps({"url": "youtube.com", "from": STAFF, "at": "2026-11-23T12:30"}),
            '{"url": 1}', "{broken",
        ]
    )  # fmt: skip
    done = schoolgate("policy", "explain", "-", "--from", PUPIL, "--at", LESSON, cwd=folder, stdin=stdin)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer.get("verdict") for answer in answers] == ["block", "allow", "allow", None, None]
    assert [answer["line"] for answer in answers[3:]] == [5, 6]
    assert done.returncode == 2
    good = schoolgate(
        "policy", "explain", "-", "--from", PUPIL, "--at", LESSON, cwd=folder, stdin="childline.org.uk\n"
    )
    assert good.returncode == 0


def test_schema_is_a_json_schema(folder):
    """The schema is JSON and knows the sections of the policy."""
    schema = json.loads(schoolgate("policy", "schema", cwd=folder).stdout)
    assert {"networks", "rules", "schedules"} <= set(schema["properties"])


def test_services_lists_and_finds(folder):
    """The catalogue is listed as a whole, by category, and by name in any case."""
    everything = json.loads(schoolgate("services", "--json", cwd=folder).stdout)
    assert {"id", "title", "category", "min_age", "domains", "shared_domains", "notes"} <= set(everything[0])
    one = json.loads(schoolgate("services", "INSTAGRAM", "--json", cwd=folder).stdout)
    assert [service["id"] for service in one] == ["instagram"]
    group = json.loads(schoolgate("services", "category:vpn", "--json", cwd=folder).stdout)
    assert {service["category"] for service in group} == {"vpn"}
    assert "instagram.com" in schoolgate("services", "instagram", cwd=folder).stdout


def test_an_unknown_service_gets_a_suggestion(folder):
    """A misspelt name is exit code 1 and the name that is meant."""
    done = schoolgate("services", "instagrm", cwd=folder)
    assert done.returncode == 1
    assert done.stderr.startswith("no service or category `instagrm`; did you mean instagram")


def test_policy_commands_load_no_proxy(folder):
    """`policy check` is quick because it loads neither the proxy nor the portal nor the DNS server."""
    program = (
        "import sys; sys.argv=['schoolgate', 'policy', 'check']\n"
        "from schoolgate.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & "
        "{'mitmproxy', 'uvicorn', 'starlette', 'schoolgate_dns', 'prometheus_client'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_whoever_stops_reading_gets_no_traceback(folder):
    """A closed pipe ends the command in silence."""
    done = subprocess.run(
        f"{sys.executable} -m schoolgate services | head -1", shell=True, cwd=folder, env=clean_environment(),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""


def test_settings_mistakes_stop_every_part(folder):
    """A mistake in schoolgate.toml is one line and exit code 2."""
    (folder / "schoolgate.toml").write_text('[dns]\nlisen = ["127.0.0.1:53"]\n')
    done = schoolgate("run", cwd=folder)
    assert done.returncode == 2
    assert done.stderr == (
        "schoolgate.toml: dns.lisen: no such setting; did you mean `listen`? "
        "available: answer_unknown, block_page_address, cookie_secret, listen, local_zones, queries_per_second, "
        "same_answers_per_second, trust_ad, tunnel_carriers, tunnel_names, upstream_ca, upstreams, workers, zones\n"
    )


def test_demo_plays_the_day_and_all_agree(folder):
    """The demo ends with 0: DNS and proxy agree with `explain` on every line of the day."""
    done = schoolgate("demo", "--json", cwd=folder)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stdout + done.stderr
    assert {line["period"] for line in lines} == {"before school", "lesson", "lunch", "after school"}
    assert {line["who"] for line in lines} == {"pupil", "staff", "office", "guest"}
    assert all(line["dns"] == line["proxy"] == line["explain"] for line in lines)
    office = {line["period"]: line["explain"] for line in lines if line["who"] == "office"}
    assert office == {"before school": "block", "lesson": "block", "lunch": "allow", "after school": "block"}


def test_demo_reads_like_a_table(folder):
    """For people, the demo prints a table and a last line that says how it went."""
    done = schoolgate("demo", cwd=folder)
    assert done.returncode == 0
    assert "10:15  lesson" in done.stdout
    assert done.stdout.rstrip().endswith("DNS and proxy agree with explain on every line.")
    assert done.stderr == ""


def test_demo_refuses_what_is_no_day(folder):
    """A day that is none is one line."""
    done = schoolgate("demo", "--day", "monday", cwd=folder)
    assert (done.returncode, done.stderr) == (2, "--day: `monday` is not a date such as 2026-11-23\n")
