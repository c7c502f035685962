"""tf.contrib.summary: summaries that write themselves, in both modes: writers, what is written, and when."""

from cltensor.summary.ops import (
    all_summary_ops,
    generic,
    graph,
    histogram,
    image,
    initialize,
    scalar,
    summary_writer_initializer_op,
)
from cltensor.summary.recording import (
    always_record_summaries,
    never_record_summaries,
    record_if,
    record_summaries_every_n_global_steps,
    should_record_summaries,
)
from cltensor.summary.writer import SummaryWriter, create_file_writer, create_summary_file_writer, flush

__all__ = [
    "SummaryWriter", "all_summary_ops", "always_record_summaries", "create_file_writer",
    "create_summary_file_writer", "flush", "generic", "graph", "histogram", "image", "initialize",
    "never_record_summaries", "record_if", "record_summaries_every_n_global_steps", "scalar",
    "should_record_summaries", "summary_writer_initializer_op",
]
