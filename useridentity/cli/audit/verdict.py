"""What a verification found, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from useridentity.audit.verify import Report
from useridentity.printable import printable

MAX_SHOWN = 100
"""Findings that are printed each: whoever alters every other record makes very many."""


def sentences(report: Report, *, by_sink: bool) -> Iterator[str]:
    """A line for each finding, and what it all means; `by_sink` where a sink's own anchors were given."""
    for finding in report.findings[:MAX_SHOWN]:
        yield printable(str(finding))
    if len(report.findings) > MAX_SHOWN:
        yield f"and {len(report.findings) - MAX_SHOWN} more"
    for note in report.notes:
        yield f"note: {printable(note)}"
    if report.is_sound:
        yield f"sound: records {report.first} to {report.last}, {report.records} in all"
    else:
        yield f"NOT SOUND: {len(report.findings)} findings in {report.records} records"
    yield _anchored(report, by_sink)
    yield _marked(report)


def _anchored(report: Report, by_sink: bool) -> str:
    if not report.records:
        return "there is nothing to be anchored"
    if not report.anchored:
        why = "no sink has taken an anchor yet" if not by_sink else "none of these anchors is of this journal"
        return f"not anchored: {why}, so that records could have been cut off the end by whoever kept an older copy"
    voucher = "these anchors say" if by_sink else "claimed by the unsealed journal itself (give --anchors to know)"
    rest = report.last - report.anchored
    return f"anchored up to record {report.anchored}, {voucher}; the last {rest} could be cut off unseen"


def _marked(report: Report) -> str:
    if not report.marked:
        return "not marked: beside the key nothing tells how far the journal was"
    rest = report.last - report.marked
    return f"marked up to record {report.marked}, beside the key; who cannot write there could cut off the last {rest}"
