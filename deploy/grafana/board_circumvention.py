"""The dashboard of ways round the filter: which, when, where."""

from panels import AMBER, GREEN, RED, TIMETABLE, Board, Query, bars, lines, ranks, stat, table

ATTEMPTS = 'schoolgate_attempts_total{kind="attempt",network=~"$network"}'
NOISE = 'schoolgate_circumvention_attempts_total{kind="background",network=~"$network"}'
CIRCUMVENTION = Board(
    "schoolgate-circumvention",
    "Schoolgate: circumvention",
    "Attempts to get round the filter: how, where, when. No panel knows whose device it was.",
    by_network=True,
    sections=(
        (
            "At a glance",
            (
                stat(
                    "How many attempts were there?",
                    "Ways round the filter that somebody has to mean, in the time chosen above; retries within a minute are one. All were seen; what the policy blocks stayed blocked.",
                    f"sum(increase({ATTEMPTS}[$__range]))",
                    decimals=0,
                ),
                stat(
                    "How does that compare with what is usual?",
                    "The last ten minutes against an average ten minutes of the last seven days. 1 is as always; an alert fires above 4.",
                    'sum(network_people:schoolgate_attempts:increase10m{network=~"$network"}) '
                    '/ (sum(network:schoolgate_attempts:usual10m{network=~"$network"}) > 0)',
                    decimals=1,
                    steps=((GREEN, None), (AMBER, 2), (RED, 4)),
                ),
                stat(
                    "How many devices are supervised?",
                    "Devices that reach only what is always allowed and the supervised list, because of a sanction.",
                    "max(schoolgate_sanctions_in_force)",
                    decimals=0,
                ),
                stat(
                    "How much did devices send by themselves?",
                    "What looks like a way round the filter but comes from ordinary devices unasked. It is stopped and counted, and held against nobody.",
                    f"sum(increase({NOISE}[$__range]))",
                    decimals=0,
                ),
            ),
        ),
        (
            "What and when",
            (
                bars(
                    "Which ways round the filter are tried, and when?",
                    "Attempts by technique. What each word means stands in docs/techniques.md.",
                    Query(
                        f"sum by (technique) (increase({ATTEMPTS}[$__rate_interval])) > 0", "{{technique}}"
                    ),
                    width=24,
                    height=10,
                ),
                TIMETABLE,
                ranks(
                    "Which techniques were seen most?",
                    "The fifteen most frequent in the time chosen above.",
                    f"topk(15, sum by (technique) (increase({ATTEMPTS}[$__range])) > 0)",
                    "{{technique}}",
                    decimals=0,
                ),
                bars(
                    "At which times of the timetable is it tried?",
                    "The same attempts, given to the schedules that were in force at that moment. Schedules overlap, so their sum may be more.",
                    Query(
                        "max by (schedule) (schoolgate_schedule_in_force) * on () group_left () "
                        f"sum(increase({ATTEMPTS}[$__rate_interval]))",
                        "{{schedule}}",
                    ),
                ),
            ),
        ),
        (
            "Where",
            (
                lines(
                    "On which networks is it tried?",
                    "Attempts in ten minutes; the alert for a network begins at 20.",
                    Query(
                        'sum by (network) (network_technique:schoolgate_attempts:increase10m{network=~"$network"})',
                        "{{network}}",
                    ),
                    decimals=0,
                    steps=((GREEN, None), (RED, 20)),
                ),
                table(
                    "Which technique on which network?",
                    "Attempts in the time chosen above.",
                    Query(f"sum by (technique, network) (increase({ATTEMPTS}[$__range])) > 0"),
                    decimals=0,
                    transformations=(
                        {
                            "id": "groupingToMatrix",
                            "options": {
                                "columnField": "network",
                                "rowField": "technique",
                                "valueField": "Value",
                                "emptyValue": "zero",
                            },
                        },
                    ),
                ),
                bars(
                    "What does the firewall turn away?",
                    "Packets that went past DNS and proxy and were refused. Empty where the firewall is not Schoolgate's.",
                    Query(
                        'sum by (technique) (increase(schoolgate_firewall_refused_packets_total{network=~"$network"}[$__rate_interval])) > 0',
                        "{{technique}}",
                    ),
                ),
                lines(
                    "How many devices does the firewall turn away?",
                    "Addresses that were refused within an hour, by what they tried. Empty where the firewall is not Schoolgate's.",
                    Query(
                        'max by (technique) (schoolgate_firewall_clients{network=~"$network"}) > 0',
                        "{{technique}}",
                    ),
                    decimals=0,
                ),
                bars(
                    "What do devices send by themselves?",
                    "Background noise by kind, each sighting. A new kind of device on the network shows here first.",
                    Query(f"sum by (technique) (increase({NOISE}[$__rate_interval])) > 0", "{{technique}}"),
                    width=24,
                ),
            ),
        ),
    ),
)
