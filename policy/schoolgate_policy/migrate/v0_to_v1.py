"""Version 0, the draft language: `vlans` became `networks`, and `unidentified` became `unknown_clients`."""

from schoolgate_policy.migrate.change import Text

_NEW_NAMES = {"vlans": "networks", "unidentified": "unknown_clients"}


def step(text: Text) -> bytes:
    """Give the keys their new names."""
    for old, new in _NEW_NAMES.items():
        text.rename(old, new)
    text.set_version(1)
    return text.result()
