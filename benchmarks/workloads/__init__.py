"""What is measured: a file per family, each with a list `WORKLOADS`; the order here is the order of the tables."""
