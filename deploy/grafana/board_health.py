"""The dashboard of the parts and the machine."""

from panels import AMBER, FINE, GREEN, HIDE_TIME, RED, Board, Query, bars, lines, stat, states, table

HEALTH = Board(
    "schoolgate-health",
    "Schoolgate: health",
    "Whether all parts run, answer quickly, have room, and agree.",
    sections=(
        (
            "At a glance",
            (
                stat(
                    "Are all parts up?",
                    "Whether each process answered Prometheus.",
                    'up{job="schoolgate"}',
                    legend="{{part}} {{instance}}",
                    words=FINE,
                    width=12,
                ),
                stat(
                    "Is policy.yaml in force as it stands?",
                    "`no`: a change was refused, and the policy before it is in force.",
                    "min(schoolgate_policy_current)",
                    words=FINE,
                ),
                stat(
                    "How many policies are in force?",
                    "One, unless a part has not noticed a change.",
                    "count(count by (version) (schoolgate_policy_info))",
                    steps=((GREEN, None), (RED, 2)),
                ),
                stat(
                    "For how long has each part run?",
                    "Since its process was started.",
                    'time() - process_start_time_seconds{job="schoolgate"}',
                    "s",
                    legend="{{part}}",
                    width=12,
                ),
                stat(
                    "Do all workers run?",
                    "Processes that are seen, of each that should be by the settings.",
                    "count by (part) (schoolgate_workers) / max by (part) (schoolgate_workers)",
                    "percentunit",
                    legend="{{part}}",
                    steps=((RED, None), (GREEN, 1)),
                ),
                stat(
                    "Is the firewall loaded?",
                    "Empty where the firewall is not Schoolgate's.",
                    "min(schoolgate_firewall_loaded)",
                    words=FINE,
                ),
            ),
        ),
        (
            "Checks",
            (
                stat(
                    "Was everything as promised when it was last checked?",
                    "The newest run of schoolgate probe; the portal's page of checks names what was not. Empty where no check was ever made.",
                    "1 - max(schoolgate_probe_failed and on (instance) schoolgate_probe_run_timestamp_seconds > 0)",
                    words=FINE,
                ),
                stat(
                    "When was the filter last checked?",
                    "Each night; an alert fires after two days. Empty where it never was.",
                    "time() - max(schoolgate_probe_run_timestamp_seconds > 0)",
                    "s",
                    steps=((GREEN, None), (AMBER, 86400), (RED, 2 * 86400)),
                ),
                stat(
                    "When was each network last reached by a check?",
                    "A network that a check cannot speak for is not checked, whatever the rest says. Empty where none ever was.",
                    "time() - max by (network) (schoolgate_probe_network_timestamp_seconds > 0)",
                    "s",
                    legend="{{network}}",
                    width=12,
                    steps=((GREEN, None), (AMBER, 86400), (RED, 2 * 86400)),
                ),
                lines(
                    "What did the checks come to?",
                    "`broken`: not as promised; `unknown`: no answer that tells; `unreached`: cannot be tried from the box.",
                    Query("sum by (network, result) (schoolgate_probe_checks)", "{{network}}: {{result}}"),
                ),
                bars(
                    "Was the probe itself seen at work?",
                    "Ways round the filter that came from the probe's own addresses. They count as nobody's attempts. Empty when no check was made.",
                    Query(
                        "sum by (part) (increase(schoolgate_probe_sightings_total[$__rate_interval])) > 0",
                        "{{part}}",
                    ),
                ),
            ),
        ),
        (
            "DNS",
            (
                lines(
                    "How many questions are answered, and how?",
                    "NXDOMAIN and NOERROR are ordinary; many SERVFAIL mean that upstream resolvers fail.",
                    Query(
                        "sum by (rcode) (rate(schoolgate_dns_queries_total[$__rate_interval])) > 0",
                        "{{rcode}}",
                    ),
                    unit="reqps",
                ),
                lines(
                    "How often does the cache know the answer?",
                    "Looks that found something, fresh or stale, among all.",
                    Query(
                        'sum(rate(schoolgate_dns_cache_lookups_total{outcome!="miss"}[5m])) '
                        "/ (sum(rate(schoolgate_dns_cache_lookups_total[5m])) > 0)",
                        "answered from the cache",
                    ),
                    unit="percentunit",
                    most=1,
                ),
                lines(
                    "How quickly do upstream resolvers answer?",
                    "Half of all exchanges took less than the first line, 19 of 20 less than the second.",
                    *(
                        Query(
                            f"histogram_quantile({share}, sum by (le) "
                            "(rate(schoolgate_dns_upstream_duration_seconds_bucket[5m])))",
                            legend,
                        )
                        for share, legend in ((0.5, "half"), (0.95, "19 of 20"), (0.99, "99 of 100"))
                    ),
                    unit="s",
                ),
                states(
                    "Which upstream resolvers work?",
                    "By their number in the settings, as each part sees them.",
                    "min by (part, upstream) (schoolgate_dns_upstream_working)",
                    "{{part}}: {{upstream}}",
                    {"1": ("works", GREEN), "0": ("does not answer", RED)},
                    height=8,
                ),
                bars(
                    "How do questions to upstream resolvers end?",
                    "`failed`: it answered with an error; `timeout` and `unreachable`: it did not answer.",
                    Query(
                        "sum by (outcome) (increase(schoolgate_dns_upstream_exchanges_total[$__rate_interval])) > 0",
                        "{{outcome}}",
                    ),
                ),
                bars(
                    "Does somebody attack the resolver?",
                    "Questions turned away by a limit, messages that deserved no answer, and answers that were forged. Empty when all is well.",
                    Query(
                        "sum by (limit) (increase(schoolgate_dns_limited_queries_total[$__rate_interval])) > 0",
                        "limit: {{limit}}",
                    ),
                    Query(
                        "sum(increase(schoolgate_dns_dropped_messages_total[$__rate_interval])) > 0",
                        "dropped",
                    ),
                    Query(
                        "sum(increase(schoolgate_dns_forged_answers_total[$__rate_interval])) > 0", "forged"
                    ),
                ),
            ),
        ),
        (
            "Proxy",
            (
                lines(
                    "How many connections are open?",
                    "Now, by how they came: configured in the client, or redirected by the firewall.",
                    Query("sum by (listener) (schoolgate_proxy_open_connections)", "{{listener}}"),
                    decimals=0,
                ),
                lines(
                    "How many connections come in?",
                    "A second.",
                    Query(
                        "sum by (listener) (rate(schoolgate_proxy_connections_total[$__rate_interval]))",
                        "{{listener}}",
                    ),
                    unit="cps",
                ),
                bars(
                    "Which connections are turned away?",
                    "`client`: one had too many; `pace`: one opened too many at once; `full`: there were too many; `late`: nothing came. Empty when all is well.",
                    Query(
                        "sum by (cause) (increase(schoolgate_proxy_connections_turned_away_total[$__rate_interval])) > 0",
                        "{{cause}}",
                    ),
                ),
                lines(
                    "Which connections are older than the bell?",
                    "Open now, and open before the last edge of a schedule that concerned them: still allowed after it. Empty where none is.",
                    Query(
                        "sum by (network) (schoolgate_proxy_connections_older_than_the_bell)", "{{network}}"
                    ),
                    decimals=0,
                ),
                bars(
                    "How many greetings carry Encrypted ClientHello?",
                    "`own`: with the site's name in the open, as browsers do by themselves; `outer`: the name is hidden. Empty where none came.",
                    Query(
                        "sum by (shown) (increase(schoolgate_proxy_ech_hellos_total[$__rate_interval])) > 0",
                        "{{shown}}",
                    ),
                ),
                bars(
                    "Which sites could not be reached?",
                    "By what went wrong; a broken line shows as `connect`. Empty when all is well.",
                    Query(
                        "sum by (problem) (increase(schoolgate_proxy_upstream_failures_total[$__rate_interval])) > 0",
                        "{{problem}}",
                    ),
                ),
                bars(
                    "Which connections pass unread because of pinned apps?",
                    "Apps that trust only their maker's certificate; names are in the log. Empty when there are none.",
                    Query(
                        "sum by (network) (increase(schoolgate_proxy_pinned_connections_total[$__rate_interval])) > 0",
                        "{{network}}: connections",
                    ),
                    Query(
                        "sum by (network) (increase(schoolgate_proxy_pinned_names_total[$__rate_interval])) > 0",
                        "{{network}}: new names",
                    ),
                ),
                bars(
                    "Do devices lack the school's certificate?",
                    "Devices on which no opened connection has succeeded. Empty when all have it.",
                    Query(
                        "sum by (network) "
                        "(increase(schoolgate_proxy_certificate_missing_total[$__rate_interval])) > 0",
                        "{{network}}",
                    ),
                ),
            ),
        ),
        (
            "Beyond this box",
            (
                stat(
                    "How long ago did the centre answer?",
                    "On a box that a centre looks after. Without it the last good policy stays in force. Empty where there is no centre.",
                    "time() - max(schoolgate_box_centre_timestamp_seconds)",
                    "s",
                    steps=((GREEN, None), (AMBER, 600), (RED, 86400)),
                ),
                stat(
                    "Which version of the signed policy is here?",
                    "The number that the centre gave it. Empty where there is no centre.",
                    "max(schoolgate_box_policy_version)",
                ),
                bars(
                    "What comes of asking the centre?",
                    "`same` and `new` are ordinary; `refused`: what it sent was not signed as it must be. Empty where there is no centre.",
                    Query(
                        "sum by (look) (increase(schoolgate_box_looks_total[$__rate_interval])) > 0",
                        "{{look}}",
                    ),
                ),
                lines(
                    "Do events reach the centre?",
                    "Datagrams that it has written each second, and those that wait here for it. Empty where there is no centre.",
                    Query("sum(rate(schoolgate_box_sent_datagrams_total[5m]))", "written, a second"),
                    Query("sum(schoolgate_box_waiting_datagrams)", "waiting"),
                ),
                bars(
                    "Do other resolvers fetch their zones?",
                    "Requests for response policy zones that were answered, and those that were turned away. Empty where none are published.",
                    Query(
                        "sum by (transfer) (increase(schoolgate_rpz_transfers_total[$__rate_interval])) > 0",
                        "{{transfer}}",
                    ),
                    Query(
                        "sum by (refusal) (increase(schoolgate_rpz_refused_total[$__rate_interval])) > 0",
                        "turned away: {{refusal}}",
                    ),
                ),
                bars(
                    "Are other resolvers told of changes?",
                    "New versions of zones, and notices by whether the resolver answered. Empty where none are published.",
                    Query(
                        "sum(increase(schoolgate_rpz_versions_total[$__rate_interval])) > 0", "new versions"
                    ),
                    Query(
                        "sum by (heard) (increase(schoolgate_rpz_notices_total[$__rate_interval])) > 0",
                        "notice heard: {{heard}}",
                    ),
                ),
                stat(
                    "How many resolvers have not heard of the newest zone?",
                    "They serve an older one until they ask by themselves. Empty where none are published.",
                    "sum(schoolgate_rpz_secondaries_behind)",
                    steps=((GREEN, None), (RED, 1)),
                ),
                stat(
                    "How long does it take to work out the zones?",
                    "The last time. Empty where none are published.",
                    "max(schoolgate_rpz_publish_duration_seconds)",
                    "s",
                ),
            ),
        ),
        (
            "Ourselves and the machine",
            (
                bars(
                    "Did we meet bugs?",
                    "Failures of ours, by part and place. Each ended in a block. Empty when all is well.",
                    Query(
                        "sum by (part, area) (increase(schoolgate_faults_total[$__rate_interval])) > 0",
                        "{{part}}: {{area}}",
                    ),
                ),
                bars(
                    "Was something not recorded?",
                    "Events on their way to the portal, and log lines, that were lost. Filtering never waits for records. Empty when all is well.",
                    Query(
                        "sum by (part, stage) (increase(schoolgate_events_dropped_total[$__rate_interval])) > 0",
                        "{{part}}: events, {{stage}}",
                    ),
                    Query(
                        "sum by (part) (increase(schoolgate_log_lines_dropped_total[$__rate_interval])) > 0",
                        "{{part}}: log",
                    ),
                ),
                lines(
                    "How many events are recorded?",
                    "What arrives at the portal each second, and rows written of it; events of the same kind share a row.",
                    Query("sum(rate(schoolgate_events_received_total[5m]))", "arrived"),
                    Query("sum(rate(schoolgate_events_stored_total[5m]))", "rows written"),
                    width=24,
                ),
                lines(
                    "How busy are the processors?",
                    "Processor seconds a second: 1 is one core. A part near 1 wants another worker.",
                    Query(
                        'rate(process_cpu_seconds_total{job="schoolgate"}[$__rate_interval])',
                        "{{part}} {{instance}}",
                    ),
                    steps=((GREEN, None), (RED, 0.9)),
                ),
                lines(
                    "How much memory do parts use?",
                    "Resident memory.",
                    Query('process_resident_memory_bytes{job="schoolgate"}', "{{part}} {{instance}}"),
                    unit="bytes",
                ),
                lines(
                    "How much room is left for records?",
                    "Free share of the disk with the state folder; an alert fires below a tenth.",
                    Query("min(schoolgate_state_free_bytes / schoolgate_state_size_bytes)", "free"),
                    unit="percentunit",
                    most=1,
                ),
                lines(
                    "Is the clock right?",
                    "Against the machine with Prometheus, and by how much the kernel reckons it may be wrong.",
                    Query("instance:schoolgate_clock:skew_seconds", "difference"),
                    Query("schoolgate_clock_error_seconds", "largest error"),
                    unit="s",
                    least=None,
                ),
                stat(
                    "Does something set the clock?",
                    "Whether the kernel knows of a time service (NTP).",
                    "min(schoolgate_clock_synchronised)",
                    words=FINE,
                    width=12,
                ),
                stat(
                    "How long are certificates valid?",
                    "The school's authority on its devices, and the intermediate that signs in its name.",
                    "min by (certificate) (schoolgate_certificate_expiry_timestamp_seconds) - time()",
                    "s",
                    legend="{{certificate}}",
                    width=12,
                    least=None,
                    steps=((RED, None), (AMBER, 30 * 86400), (GREEN, 60 * 86400)),
                ),
                table(
                    "Which version runs?",
                    "Of Schoolgate and of Python, by part.",
                    Query("max by (part, version, python) (schoolgate_build_info)"),
                    transformations=(HIDE_TIME,),
                ),
                lines(
                    "When was the policy last accepted?",
                    "How long ago, by part.",
                    Query("time() - max by (part) (schoolgate_policy_loaded_timestamp_seconds)", "{{part}}"),
                    unit="s",
                ),
            ),
        ),
    ),
)
