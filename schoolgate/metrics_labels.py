"""What the labels of the metrics say, and which closed set each value comes from.

A label that is not here may not be used (a test looks). None is ever an address, a host, a user or a URL.
"""

LABELS: dict[str, str] = {
    "area": "where the failure was: `dns`, `proxy`, `portal`, `policy` …",
    "category": "categories of the catalogue; `none` for a site that is in none",
    "cause": "`client`: it had too many; `full`: there were too many; `late`: nothing came in time",
    "certificate": "`authority`: the school's own, on its devices; `intermediate`: what signs in its name",
    "component": "the part: `dns`, `proxy`, `portal`, `firewall`",
    "direction": "`sent` by the client, `received` by it",
    "handling": "`inspect`: opened; `pass`: relayed unread; `refuse`: closed without a page",
    "kind": "`attempt`: somebody's doing; `background`: ordinary devices send it by themselves",
    "limit": "which limit: `client_rate`, `same_answer`, `tunnel`, `unknown_client`",
    "list": "lists of policy.yaml, with `locked:` before those nobody can open",
    "listener": "`explicit`: configured in clients; `transparent`: redirected by the firewall",
    "network": "networks of policy.yaml",
    "page": "kinds of pages of the portal",
    "people": "`pupil`, `staff`, `guest`",
    "point": "who acted: `dns` or `proxy`",
    "problem": "`name`: none such; `address`: refused by us; `connect`: no answer; `certificate`: not valid",
    "python": "a version",
    "rcode": "the answer's code (IANA): `NOERROR`, `NXDOMAIN`, `SERVFAIL` …",
    "stage": "where on its way: `sender` or `receiver`",
    "reason": "the step of the order of judgement: `rule`, `exception`, `locked` …",
    "result": "`accepted` or `rejected`; of jobs `done` or `failed`; of a probe `kept`, `broken`, `unknown`, `unreached`",
    "schedule": "schedules of policy.yaml",
    "standing": "`in_force` or `to_come`",
    "state": "where a request stands: `submitted`, `under_review`, `recommended`",
    "status": "the HTTP status",
    "task": "jobs of the portal: `mail`, `expire`, `publish` …",
    "technique": "the closed set of `schoolgate_policy.technique`",
    "transport": "`udp` or `tcp`",
    "upstream": "its number, from 1: those of all names as in the settings, then those of single zones",
    "verdict": "`allow` or `block`",
    "version": "a version; of the policy the beginning of its SHA-256",
    "outcome": "of the cache `hit`, `miss`, `stale`; of an upstream `answered`, `failed`, `timeout`, `unreachable`",
}
