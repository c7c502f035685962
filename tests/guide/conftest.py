"""in_graph_mode.py is a program for a process of its own; collecting it would run it here."""

collect_ignore = ["in_graph_mode.py"]
