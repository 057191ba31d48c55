"""Schoolgate as a mitmproxy script: `mitmdump -s proxy/main.py --set schoolgate_policy=policy.yaml`.

For trying the filter on an existing mitmproxy. What it cannot do, and `schoolgate proxy` can: name the network by
the listener instead of by the client's address alone, send events and metrics, make and publish the school's own
certificate authority, and run as several workers. See README.md beside this file.
"""

from schoolgate_proxy.script import Script

addons = [Script()]
