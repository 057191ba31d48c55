"""The table of techniques: closed, whole, in plain words, and true of the catalogue."""

from policies import SHIPPED

from schoolgate_policy.catalogue_installed import load_catalogue
from schoolgate_policy.technique import BY_CATEGORY, Technique
from schoolgate_policy.technique_table import LANGUAGES, LAYERS, PAGE, about, render, table, weight


def test_the_table_and_the_set_are_the_same() -> None:
    """Each technique that a part can name has its row, and there is no row of another."""
    assert set(table()) == set(Technique)


def test_each_row_is_whole() -> None:
    """A row says in both languages what it means, who sees it, what it counts and what stops it."""
    for one in table().values():
        assert one.seen_by, one.technique
        assert set(one.seen_by) <= set(LAYERS)
        assert 0 <= one.weight <= 3
        assert one.control
        for language in LANGUAGES:
            assert one.title[language], one.technique
            assert one.means[language].endswith("."), one.technique
        assert one.means["en"] != one.means["cy"]


def test_what_devices_do_by_themselves_counts_nothing() -> None:
    """Probes of systems and browsers are counted, and held against nobody."""
    for name in ("wpad", "ddr", "doh_canary", "private_relay", "ech", "quic", "client_distrust"):
        assert weight(name) == 0
        known = about(name)
        assert known is not None
        assert known.is_background
    assert weight("dns_tunnel") == 3
    assert weight("never heard of") == 0


def test_the_categories_exist() -> None:
    """Each category that names a technique is one of the shipped catalogue, below `circumvention`."""
    categories = load_catalogue().categories
    assert {categories[name].parent for name in BY_CATEGORY} == {"circumvention"}
    below = {name for name, one in categories.items() if one.parent == "circumvention"}
    assert below == set(BY_CATEGORY)


def test_the_page_is_fresh() -> None:
    """Whoever changes the table runs `python -m schoolgate_policy.technique_table`."""
    assert (SHIPPED.parent / PAGE).read_text("utf-8") == render()
