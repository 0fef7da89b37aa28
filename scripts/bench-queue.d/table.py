#!/usr/bin/env python3
"""Prints the tables of bench-queue: for each peer, the median and the range over its rounds, and how ours compares with it, round by
round. Reads lines of JSON."""

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

OURS = "aura"
# Ours by theirs. Whole lives, which no peer has, are compared with bare jobs.
RATIOS = [
    ("enqueue, 64 callers", "enqueue_64_per_s", "enqueue_64_per_s"),
    ("drain", "drain_per_s", "drain_per_s"),
    ("PG CPU a job", "postgres_cpu_ms_per_job", "postgres_cpu_ms_per_job"),
    ("client CPU a job", "client_cpu_ms_per_job", "client_cpu_ms_per_job"),
    ("WAL a job", "wal_bytes_per_job", "wal_bytes_per_job"),
    ("whole lives by their drain", "life_per_s", "drain_per_s"),
]


def figure(value: float) -> str:
    """A value with as many digits as mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.3f}"


def ratio(value: float) -> str:
    """How many times."""
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cell(values: list[float], write=figure) -> str:
    """The median, and the range where there is one; nothing for what a peer does not have."""
    if not values:
        return ""
    middle = write(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({write(min(values))}..{write(max(values))})"


def print_ratios(rounds: dict[str, list[dict]]) -> None:
    """What ours is of each peer's, in the rounds that both have."""
    ours = next((results for results in rounds.values() if results[0]["name"] == OURS), [])
    theirs = {peer: results for peer, results in rounds.items() if results[0]["name"] != OURS}
    if not ours or not theirs:
        return
    print(f"| {OURS} by |", " | ".join(title for title, _, _ in RATIOS), "|")
    print("|---" * (len(RATIOS) + 1) + "|")
    for peer, results in theirs.items():
        pairs = list(zip(ours, results))
        cells = [[a[our] / b[their] for a, b in pairs if our in a and b.get(their)] for _, our, their in RATIOS]
        print(f"| {peer} |", " | ".join(cell(values, ratio) for values in cells), "|")
    print()


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
    print_ratios(rounds)
    for peer, results in rounds.items():
        print(f"{peer}: {results[0]['settings']}; {len(results)} rounds")


main()
