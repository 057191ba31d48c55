"""`schoolgate demo`."""

from schoolgate.commands.options import AsJson


def demo(*, as_json: AsJson = False) -> None:
    """Play a school day."""
