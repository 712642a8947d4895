"""The commands that repair data of a deployed stage: the cleanup, missing thumbnails, the search index."""

from __future__ import annotations

import msgspec

from chalicelib.config import LOCAL
from chalicelib.values import times
from tools.ops import cleanup_now, missing_thumbnails, output, reindexing
from tools.ops.command_context import CommandContext
from tools.stage import search_index_state
from tools.stage.errors import StageError

REINDEX_PROGRESS_INTERVAL = 1000
"""How many items are read between two lines about the progress of a reindex."""


def run_cleanup(context: CommandContext) -> int:
    """Run the cleanup now, and show what it did."""
    context.print_progress("The cleanup is running; it may take minutes.")
    result = cleanup_now.run(context.stage)
    data = {
        "counts": result.counts,
        "finished": result.finished,
        "failures": [failure._asdict() for failure in result.failures],
    }
    context.print_result(data, output.cleanup_text(result))
    return 1 if result.counts.get("failed") else 0


def render_missing(context: CommandContext) -> int:
    """Queue thumbnail jobs for loose files that lack a thumbnail; with ``--dry-run``, only list the files."""
    keys = missing_thumbnails.without_thumbnail(context.stage)
    queued = 0
    if keys and not context.options.dry_run:
        missing_thumbnails.queue_thumbnail_jobs(context.stage, keys, context.progress_report("Queued", len(keys)))
        queued = len(keys)
    data = {"missing": len(keys), "queued": queued, "keys": keys}
    context.print_result(data, output.missing_thumbnails_text(keys, queued))
    return 0


def reindex(context: CommandContext) -> int:
    """Build or repair the search index; with ``--check``, only compare it with the items."""
    stage, check = context.stage, context.options.check
    deployed = search_index_state.state(stage.name, stage.client).deployed
    # `make run` deploys the code of this folder whenever it changes.
    if stage.name != LOCAL and deployed not in (None, search_index_state.declared()):
        raise StageError(
            f"ItemFields in this folder marks other fields than in the code that is deployed as {stage.name}: "
            "check out the revision that is deployed."
        )
    stage.set_environment()
    counts = reindexing.run(times.now(), _reindex_progress(context), repair=not check)
    if not check and not counts.failed:
        search_index_state.record_built(stage.name, stage.client)
    context.print_result(msgspec.to_builtins(counts), output.reindex_text(counts, repaired=not check))
    return 1 if counts.failed or (check and counts.wrong) else 0


def _reindex_progress(context: CommandContext) -> reindexing.Report:
    reported = 0

    def report(counts: reindexing.Counts) -> None:
        nonlocal reported
        if counts.items >= reported + REINDEX_PROGRESS_INTERVAL:
            reported = counts.items
            context.print_progress(f"{counts.items:,} items read, {counts.wrong:,} differences …")

    return report
