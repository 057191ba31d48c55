"""Pinned apps and devices without the certificate: told apart, and never a way round the filter."""

from datetime import UTC, datetime, timedelta

import pytest

from schoolgate_proxy.pinning import Pinning

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
POLICY, OTHER_POLICY = object(), object()
APP = ("pupils", "api.app.example")


@pytest.fixture
def pinning() -> Pinning:
    return Pinning()


def _reject(pinning, devices, name=APP, times=2, now=NOW, policy=POLICY, *, may_pass=True):
    return [
        pinning.rejected(f"10.20.0.{device}", name, now, policy, may_pass=may_pass)
        for _ in range(times)
        for device in devices
    ]


def test_several_devices_make_a_pinned_app(pinning):
    """Three devices that reject a name twice each have it passed on for a day, and no longer."""
    news = _reject(pinning, (1, 2, 3))
    assert [one.passed is not None for one in news] == [False] * 5 + [True]
    assert pinning.passes(APP, NOW, POLICY)
    assert pinning.passes(APP, NOW + timedelta(hours=23), POLICY)
    assert not pinning.passes(APP, NOW + timedelta(hours=24), POLICY)
    assert not pinning.passes(("staff", APP[1]), NOW, POLICY)


@pytest.mark.parametrize(("devices", "times"), [((1, 2), 20), ((1, 2, 3), 1), ((1,), 100)])
def test_too_few_rejections_pass_nothing(pinning, devices, times):
    """Two devices, or rejections that are not repeated, are no proof."""
    _reject(pinning, devices, times=times)
    assert not pinning.passes(APP, NOW, POLICY)


def test_one_device_lacks_the_certificate(pinning):
    """A single device that goes on rejecting is said to lack the certificate, once."""
    news = _reject(pinning, (1,), times=6)
    assert [one.lacking is not None for one in news] == [False, False, True, False, False, False]
    assert [(one.address, one.names) for one in pinning.lacking(NOW)] == [("10.20.0.1", 1)]
    assert pinning.lacking(NOW + timedelta(days=2)) == ()


def test_a_device_that_trusts_us_does_not_lack_it(pinning):
    """A request under our certificate takes the advice back, and keeps it from being given."""
    _reject(pinning, (1,), times=3)
    pinning.trusts("10.20.0.1", "pupils")
    assert pinning.lacking(NOW) == ()
    _reject(pinning, (1,), times=9)
    assert pinning.lacking(NOW) == ()


def test_devices_without_the_certificate_prove_nothing(pinning):
    """Devices that reject everything do not have a name passed on, also where that shows only later."""
    _reject(pinning, (1, 2, 3))
    assert pinning.passes(APP, NOW, POLICY)
    for other in ("one.example", "two.example"):
        _reject(pinning, (1, 2, 3), ("pupils", other))
    assert not pinning.passes(APP, NOW, POLICY)
    assert len(pinning.lacking(NOW)) == 3


def test_devices_that_trust_us_prove_it_for_many_apps(pinning):
    """A device that is known to have the certificate may have several pinned apps."""
    for device in (1, 2, 3):
        pinning.trusts(f"10.20.0.{device}", "pupils")
    for host in ("one.example", "two.example", "three.example", "four.example"):
        _reject(pinning, (1, 2, 3), ("pupils", host))
        assert pinning.passes(("pupils", host), NOW, POLICY)
    assert pinning.lacking(NOW) == ()


def test_what_may_not_be_passed_never_is(pinning):
    """A name that must be read is not passed on, however many devices reject it."""
    _reject(pinning, range(1, 50), times=5, may_pass=False)
    assert not pinning.passes(APP, NOW, POLICY)


def test_old_rejections_are_forgotten(pinning):
    """Rejections more than an hour apart are not added up."""
    for hours in range(4):
        _reject(pinning, (1, 2, 3), times=1, now=NOW + timedelta(hours=2 * hours))
    assert not pinning.passes(APP, NOW + timedelta(hours=6), POLICY)


def test_a_new_policy_begins_anew(pinning):
    """When the policy changes nothing is passed on that it has not been shown again."""
    _reject(pinning, (1, 2, 3))
    assert not pinning.passes(APP, NOW, OTHER_POLICY)
    assert pinning.passed == ()
    _reject(pinning, (1, 2, 3), times=1, policy=OTHER_POLICY)
    assert not pinning.passes(APP, NOW, OTHER_POLICY)


def test_memory_is_bounded(pinning):
    """Very many names and devices are not remembered all."""
    for number in range(12_000):
        pinning.rejected(
            f"10.{number >> 8}.{number & 255}.1", ("pupils", f"n{number}.example"), NOW, POLICY, may_pass=True
        )
    assert len(pinning._devices) <= 5000
    assert len(pinning._names) <= 2000


def test_a_long_list_of_names_of_one_device_is_bounded(pinning):
    """One device cannot fill the memory with names."""
    for number in range(5000):
        pinning.rejected("10.20.0.1", ("pupils", f"n{number}.example"), NOW, POLICY, may_pass=True)
    assert len(pinning._devices["10.20.0.1"].rejected) <= 200
