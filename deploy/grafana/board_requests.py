"""The dashboard of the request queue and the portal."""

from panels import AMBER, GREEN, RED, WRONG_FROM_ONE, Board, Query, bars, lines, ranks, stat, states

REQUESTS = Board(
    "schoolgate-requests",
    "Schoolgate: requests",
    "Who waits for an answer, for how long, and whether the portal does what it is for.",
    hours=7 * 24,
    sections=(
        (
            "At a glance",
            (
                stat(
                    "How many requests wait?",
                    "Requests for access that somebody has still to decide on.",
                    "sum(max by (state) (schoolgate_requests_waiting))",
                    decimals=0,
                    steps=((GREEN, None), (AMBER, 10), (RED, 30)),
                ),
                stat(
                    "For how long has the oldest waited, in school time?",
                    "Only days on which the school is open count, whole days. An alert fires after one.",
                    "max(schoolgate_request_oldest_school_seconds)",
                    "s",
                    steps=((GREEN, None), (AMBER, 43200), (RED, 86400)),
                ),
                stat(
                    "Is something decided, but not in force?",
                    "Decisions that could not be written into policy.yaml. The request in the portal says why.",
                    "max(schoolgate_requests_unwritten)",
                    decimals=0,
                    steps=WRONG_FROM_ONE,
                ),
                stat(
                    "How many letters have not gone out?",
                    "They wait while the mail host is away, or for ever where none is set.",
                    "max(schoolgate_outbox_letters)",
                    decimals=0,
                    steps=((GREEN, None), (AMBER, 1), (RED, 20)),
                ),
            ),
        ),
        (
            "The queue",
            (
                lines(
                    "How does the queue grow?",
                    "Waiting requests by whose turn it is: submitted and under review are the officer's, recommended the headteacher's.",
                    Query("max by (state) (schoolgate_requests_waiting)", "{{state}}"),
                    stacked=True,
                    decimals=0,
                ),
                lines(
                    "How long did people wait?",
                    "The age of the oldest waiting request, by the calendar and in school time.",
                    Query("max(schoolgate_request_oldest_age_seconds)", "by the calendar"),
                    Query("max(schoolgate_request_oldest_school_seconds)", "in school time"),
                    unit="s",
                    steps=((GREEN, None), (RED, 86400)),
                ),
                lines(
                    "How long did alerts wait to be acknowledged?",
                    "Of those acknowledged in the last seven days: half were faster than the lower line, nine in ten than the upper one. Empty where none was.",
                    *(
                        Query(
                            f"histogram_quantile({share}, "
                            "sum by (le) (increase(schoolgate_alert_acknowledgement_seconds_bucket[7d])) > 0)",
                            words,
                        )
                        for share, words in ((0.5, "half"), (0.9, "nine in ten"))
                    ),
                    unit="s",
                    width=24,
                ),
                states(
                    "Was the school open?",
                    "By the calendar of policy.yaml; on other days nobody is expected to answer.",
                    "max(schoolgate_school_day)",
                    "school day",
                    {"1": ("open", GREEN), "0": ("closed", "transparent")},
                    width=24,
                    height=4,
                ),
            ),
        ),
        (
            "The portal",
            (
                lines(
                    "Which pages are used?",
                    "Pages an hour, by kind.",
                    Query(
                        "sum by (page) (rate(schoolgate_portal_pages_total[$__rate_interval])) * 3600 > 0",
                        "{{page}}",
                    ),
                ),
                bars(
                    "Do people meet errors?",
                    "Answers with a status of 400 and more. 403 is mostly the block page, 5xx are failures of ours.",
                    Query(
                        'sum by (status) (increase(schoolgate_portal_pages_total{status=~"[45].."}[$__rate_interval])) > 0',
                        "{{status}}",
                    ),
                ),
                ranks(
                    "When was each job of the clock last done?",
                    "Seconds ago. All run every few seconds; an alert fires after 15 minutes.",
                    "time() - max by (task) (schoolgate_portal_job_success_timestamp_seconds)",
                    "{{task}}",
                    unit="s",
                    steps=((GREEN, None), (AMBER, 60), (RED, 900)),
                ),
                bars(
                    "Which jobs of the clock fail?",
                    "Failed runs; the log says why. Empty when all is well.",
                    Query(
                        'sum by (task) (increase(schoolgate_portal_jobs_total{result="failed"}[$__rate_interval])) > 0',
                        "{{task}}",
                    ),
                ),
            ),
        ),
    ),
)
