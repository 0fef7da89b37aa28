#!/usr/bin/env python3
"""Prints the table of bench-queue: for each peer, the median and the range over its rounds. Reads lines of JSON."""

import json
import statistics
import sys

COLUMNS = [
    ("enqueue, 1 caller /s", "enqueue_one_per_s"),
    ("enqueue, 64 callers /s", "enqueue_64_per_s"),
    ("bulk /s", "bulk_per_s"),
    ("drain jobs/s", "drain_per_s"),
    ("PG CPU ms/job", "postgres_cpu_ms_per_job"),
    ("client CPU ms/job", "client_cpu_ms_per_job"),
    ("WAL B/job", "wal_bytes_per_job"),
    ("latency p50 ms", "latency_p50_ms"),
    ("latency p99 ms", "latency_p99_ms"),
    ("whole lives /s", "life_per_s"),
    ("PG CPU ms/life", "life_postgres_cpu_ms"),
    ("WAL B/life", "life_wal_bytes"),
]


def figure(value: float) -> str:
    """A value with as many digits as mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.3f}"


def cell(values: list[float]) -> str:
    """The median, and the range where there is one; nothing for what a peer does not have."""
    if not values:
        return ""
    middle = figure(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({figure(min(values))}..{figure(max(values))})"


def main() -> None:
    """Groups the lines by peer, in the order of their first appearance."""
    rounds: dict[str, list[dict]] = {}
    for line in sys.stdin:
        result = json.loads(line)
        rounds.setdefault(f"{result['name']} {result['version']}", []).append(result)
    print("| peer |", " | ".join(title for title, _ in COLUMNS), "|")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for peer, results in rounds.items():
        print(f"| {peer} |", " | ".join(cell([result[key] for result in results if key in result]) for _, key in COLUMNS), "|")
    print()
    for peer, results in rounds.items():
        print(f"{peer}: {results[0]['settings']}; {len(results)} rounds")


main()
