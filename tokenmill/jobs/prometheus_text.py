"""Prometheus's text format 0.0.4, and the families of numbers that a run shows in it.

Source: prometheus.io/docs/instrumenting/exposition_formats, and its naming rules: base units, `_total` for counters.
"""

FAMILIES = {  # name -> (type, help)
    "tokenmill_run_info": ("gauge", "The run that these numbers are of; always 1."),
    "tokenmill_run_start_timestamp_seconds": ("gauge", "When this process began."),
    "tokenmill_run_seconds": ("gauge", "How long this process has been at work."),
    "tokenmill_run_state": ("gauge", "1 for the state that the run is in: running, done or failed."),
    "tokenmill_phase_seconds": ("gauge", "Time in each phase so far."),
    "tokenmill_tasks": ("gauge", "Tasks of each phase by state: done, or waiting (running ones among these)."),
    "tokenmill_task_retries_total": ("counter", "Tasks that were tried again because their worker died."),
    "tokenmill_documents_read_total": ("counter", "Documents read from the sources."),
    "tokenmill_bytes_read_total": ("counter", "Bytes read from the sources."),
    "tokenmill_documents_total": ("counter", "Documents by fate, once the run is done."),
    "tokenmill_documents_dropped_total": ("counter", "Dropped documents by rule, once the run is done."),
    "tokenmill_documents_duplicate_total": ("counter", "Duplicates by the step that found them, once the run is done."),
    "tokenmill_characters_kept_total": ("counter", "Code points of text kept, once the run is done."),
    "tokenmill_tokens_total": ("counter", "Tokens written, once the run is done."),
    "tokenmill_output_bytes": ("gauge", "Bytes of the finished run's files."),
    "tokenmill_metrics_errors_total": ("counter", "Times that this file could not be written."),
    "tokenmill_run_last_success_timestamp_seconds": ("gauge", "When a run of this name was last done."),
    "tokenmill_firing_last_success_timestamp_seconds": ("gauge", "When a firing was last done, verified, or empty."),
    "tokenmill_firing_last_due_timestamp_seconds": ("gauge", "The time that the last firing was of."),
}
LASTING = tuple(name for name in FAMILIES if "_last_" in name)  # the next run's file still has them


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Samples:
    """Samples, every one with the run's name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._samples: list[str] = []

    def add(self, family: str, value: float, **labels: str) -> None:
        self._samples.append(sample(family, value, {"name": self._name, **labels}))

    def text(self, lasting: list[str]) -> str:
        return with_heads([*self._samples, *lasting])


def sample(family: str, value: float, labels: dict[str, str]) -> str:
    """One line."""
    pairs = ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items())
    return f"{family}{{{pairs}}} {value:.3f}" if isinstance(value, float) else f"{family}{{{pairs}}} {value}"


def with_heads(samples: list[str]) -> str:
    """The samples by family, in the order of FAMILIES, each family under its HELP and TYPE. Others are left out."""
    lines = []
    for family, (kind, meaning) in FAMILIES.items():
        mine = [s for s in samples if s.partition("{")[0] == family]
        lines += [f"# HELP {family} {meaning}", f"# TYPE {family} {kind}", *mine] if mine else []
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """As a label's value stands between quotes."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
