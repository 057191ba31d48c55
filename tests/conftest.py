"""What all tests share."""

import os

from hypothesis import settings

# A busy machine is no failure, and the build server must not roll dice: there every run sees the same examples.
settings.register_profile("local", deadline=None)
settings.register_profile("server", deadline=None, derandomize=True)
settings.load_profile("server" if os.environ.get("CI") else "local")
