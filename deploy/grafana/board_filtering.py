"""The dashboard of verdicts: what is blocked and let through, by what."""

from panels import AMBER, GREEN, HIDE_TIME, RED, TIMETABLE, Board, Query, bars, lines, ranks, stat, table

DECISIONS = 'schoolgate_decisions_total{network=~"$network"}'
BLOCKED = 'schoolgate_decisions_total{verdict="block",network=~"$network"}'
FILTERING = Board(
    "schoolgate-filtering",
    "Schoolgate: filtering",
    "What is blocked and what is let through, for whom, by which step of the policy.",
    by_network=True,
    sections=(
        (
            "At a glance",
            (
                stat(
                    "How many verdicts were given?",
                    "Names asked for and requests made, judged in the time chosen above.",
                    f"sum(increase({DECISIONS}[$__range]))",
                    decimals=0,
                ),
                stat(
                    "How much of it was blocked?",
                    "A share that falls to nothing while people use the internet means that the filter does not filter.",
                    f"sum(increase({BLOCKED}[$__range])) / (sum(increase({DECISIONS}[$__range])) > 0)",
                    "percentunit",
                    decimals=1,
                ),
                stat(
                    "How many exceptions are in force?",
                    "Granted departures from the rules that have begun and not ended.",
                    'max(schoolgate_policy_exceptions{standing="in_force"})',
                    decimals=0,
                ),
                stat(
                    "How long until the policy must be reviewed?",
                    "Until the end of the day that policy.yaml names. Filtering must be reviewed every year.",
                    "min(schoolgate_policy_review_due_timestamp_seconds) - time()",
                    "s",
                    least=None,
                    steps=((RED, None), (AMBER, 0), (GREEN, 30 * 86400)),
                ),
            ),
        ),
        (
            "Verdicts",
            (
                lines(
                    "How much is let through, how much blocked?",
                    "Verdicts a second, on all chosen networks.",
                    Query(
                        'sum by (verdict) (network_verdict:schoolgate_decisions:rate5m{network=~"$network"})',
                        "{{verdict}}",
                    ),
                    unit="reqps",
                ),
                lines(
                    "Which share is blocked on each network?",
                    "Blocks among all verdicts. It should change with the timetable, and be highest where the rules are strictest.",
                    Query('network:schoolgate_decisions:block_ratio5m{network=~"$network"}', "{{network}}"),
                    unit="percentunit",
                    most=1,
                ),
                TIMETABLE,
                ranks(
                    "What kinds of sites were blocked?",
                    "By the category of the catalogue; `none` are sites of no category, blocked by name or by a list.",
                    'topk(20, sum by (category) (increase(schoolgate_blocks_total{network=~"$network"}[$__range])) > 0)',
                    "{{category}}",
                    decimals=0,
                    height=10,
                ),
                bars(
                    "Which step of the policy blocked?",
                    "`rule`: a rule of policy.yaml; `otherwise`: no rule spoke of it; `locked`: illegal content; `error`: it could not be judged, and so was blocked.",
                    Query(f"sum by (reason) (increase({BLOCKED}[$__rate_interval])) > 0", "{{reason}}"),
                    height=10,
                ),
                bars(
                    "Where was it blocked, at the name or at the connection?",
                    "`dns`: the name was not resolved; `proxy`: the connection or the request was stopped.",
                    Query(f"sum by (point) (increase({BLOCKED}[$__rate_interval])) > 0", "{{point}}"),
                ),
                bars(
                    "What was let through, and why?",
                    "`exception` and `always_allow` are decisions of the school; `otherwise` means that no rule spoke of it.",
                    Query(
                        'sum by (reason) (increase(schoolgate_decisions_total{verdict="allow",network=~"$network"}[$__rate_interval])) > 0',
                        "{{reason}}",
                    ),
                ),
            ),
        ),
        (
            "Connections",
            (
                bars(
                    "How much is opened, how much passed on unread?",
                    "Encrypted connections by what was done with them: `inspect`, `pass`, or `refuse` where no page can be shown.",
                    Query(
                        'sum by (handling) (increase(schoolgate_proxy_tls_connections_total{network=~"$network"}[$__rate_interval])) > 0',
                        "{{handling}}",
                    ),
                ),
                bars(
                    "What did the proxy answer itself?",
                    "403: the block page; 400 and 421: malformed, or a trick; 502: the site could not be reached.",
                    Query(
                        'sum by (status) (increase(schoolgate_proxy_answers_total{network=~"$network"}[$__rate_interval])) > 0',
                        "{{status}}",
                    ),
                ),
                lines(
                    "How much goes through unread?",
                    "Octets a second of connections that were passed on, counted when each ends.",
                    Query(
                        'sum by (direction) (rate(schoolgate_proxy_relayed_bytes_total{network=~"$network"}[$__rate_interval]))',
                        "{{direction}}",
                    ),
                    unit="Bps",
                ),
                lines(
                    "How many connections are passed on unread at once?",
                    "The time they lasted, spread over the time that passed; counted when each ends.",
                    Query(
                        'sum by (network) (rate(schoolgate_proxy_relayed_seconds_total{network=~"$network"}[5m]))',
                        "{{network}}",
                    ),
                ),
            ),
        ),
        (
            "Policy and lists",
            (
                table(
                    "Which policy is in force in which part?",
                    "The version is the beginning of the file's SHA-256, as in `schoolgate policy history`. All parts should have the same.",
                    Query("max by (part, version) (schoolgate_policy_info)"),
                    transformations=(HIDE_TIME,),
                    steps=((GREEN, None),),
                ),
                table(
                    "Are the lists there, and current?",
                    "Names and pages on each list, its age in seconds, and 1 where it is what its source brings. Empty where the policy has no lists.",
                    Query("max by (list) (schoolgate_list_names)"),
                    Query("max by (list) (schoolgate_list_age_seconds)"),
                    Query("min by (list) (schoolgate_list_current)"),
                    transformations=({"id": "merge", "options": {}}, HIDE_TIME),
                ),
                stat(
                    "How many rules does the policy have?",
                    "Rules of policy.yaml, without those of states that are switched on for special times.",
                    "max(schoolgate_policy_rules)",
                    decimals=0,
                ),
                bars(
                    "When was the policy changed, and when refused?",
                    "Each part reads a change by itself, so that one change counts three times.",
                    Query(
                        "sum by (result) (increase(schoolgate_policy_reloads_total[$__rate_interval])) > 0",
                        "{{result}}",
                    ),
                    width=18,
                    height=5,
                ),
            ),
        ),
    ),
)
