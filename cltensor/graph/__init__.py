"""Graphs: recorded ops, made better by passes, compiled once and replayed."""
