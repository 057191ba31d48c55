"""The annex on data protection speaks of every column, with the periods of the policy and the roles of the code."""

import json

import pytest
import sqlalchemy as sa
from school import School

from schoolgate_exceptions.errors import NotAllowed
from schoolgate_exceptions.papers import annex
from schoolgate_exceptions.papers.annex import READS_ACCOUNTS, READS_COUNTS, without_entry
from schoolgate_exceptions.papers.box import Connected, UnknownBox
from schoolgate_exceptions.roles import SYSTEM, Role
from schoolgate_exceptions.tables import metadata
from schoolgate_exceptions.web.map import ROUTES


def test_every_column_has_an_entry_and_no_entry_is_left_over() -> None:
    """A column without an entry fails here: say in annex.yaml what it is for, and whether it is about somebody."""
    assert without_entry() == []
    for name, one in annex._read()["tables"].items():
        if name in metadata.tables:
            columns = {column.name for column in metadata.tables[name].columns}
            assert set(one["columns"]) == columns, name
            assert set(one["personal"]) <= columns, name


def test_a_new_column_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A column that is added to a table, and a whole new table, are found."""
    more = sa.MetaData()
    for table in metadata.sorted_tables:
        table.to_metadata(more)
    more.tables["events"].append_column(sa.Column("mood", sa.Text))
    sa.Table("diaries", more, sa.Column("text", sa.Text))
    monkeypatch.setattr(annex, "metadata", more)
    assert without_entry() == ["diaries.text", "events.mood"]


def test_the_schema_of_the_database_is_that_of_the_annex(school: School) -> None:
    """What really is in the database has an entry, too."""
    known = {f"{table.name}.{column.name}" for table in metadata.sorted_tables for column in table.columns}
    with school.service.office.read() as connection:
        inspector = sa.inspect(connection)
        tables = [table for table in inspector.get_table_names() if table != "alembic_version"]
        real = {f"{table}.{column['name']}" for table in tables for column in inspector.get_columns(table)}
    assert real == known


def test_periods_come_from_the_policy(school: School) -> None:
    """Another period in policy.yaml is another period in the annex."""
    text = school.policy.read_text()
    papers = school.service.papers
    assert (
        "Kept: 30 days; longer where the device is held"
        in papers.hand_over(papers.annex(SYSTEM, "text"), "text").decode()
    )
    school.policy.write_text(text.replace("keep_events: 30 days", "keep_events: 11 days"))
    after = papers.hand_over(papers.annex(SYSTEM, "text"), "text").decode()
    assert "Kept: 11 days; longer where the device is held" in after
    assert "Kept: 30 days. Seen by: e-safety officer" not in after


def test_roles_are_those_of_the_pages() -> None:
    """Who sees accounts and counts according to the annex is who the pages let in."""
    routes = {route.path: set(route.roles) for route in ROUTES}
    assert routes["/people"] == set(READS_ACCOUNTS)
    assert routes["/activity"] == set(READS_COUNTS)


def test_processors_and_proof(school: School) -> None:
    """What is connected is named, deletion is proved, and what has not been removed yet is said."""

    class Box(UnknownBox):
        def connected(self):
            return [Connected("Mail host", "smtp.school.example", "letters")]

    papers = school.service.papers
    papers.box = Box()
    text = papers.hand_over(papers.annex(SYSTEM, "text"), "text").decode()
    assert "Processors: none." in text
    assert "Mail host (smtp.school.example): letters" in text
    assert "Nothing is left that should have gone." in text
    school.ask()
    school.clock.forward(days=800)
    read = json.loads(papers.hand_over(papers.annex(SYSTEM, "json"), "json"))
    assert {one["what"] for one in read["proof"]} >= {"events", "requests", "audit", "visits counted"}
    school.service.retention.purge()
    assert all(one.is_proved for one in school.service.retention.look())
    with pytest.raises(NotAllowed):
        papers.annex(school.person("t@school.example", Role.TEACHER), "text")
