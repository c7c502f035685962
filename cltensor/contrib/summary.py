"""tf.contrib.summary: the names of cltensor.summary."""

from cltensor.summary import (
    SummaryWriter,
    all_summary_ops,
    always_record_summaries,
    create_file_writer,
    create_summary_file_writer,
    flush,
    generic,
    graph,
    histogram,
    image,
    initialize,
    never_record_summaries,
    record_if,
    record_summaries_every_n_global_steps,
    scalar,
    should_record_summaries,
    summary_writer_initializer_op,
)

__all__ = [
    "SummaryWriter", "all_summary_ops", "always_record_summaries", "create_file_writer",
    "create_summary_file_writer", "flush", "generic", "graph", "histogram", "image", "initialize",
    "never_record_summaries", "record_if", "record_summaries_every_n_global_steps", "scalar",
    "should_record_summaries", "summary_writer_initializer_op",
]
