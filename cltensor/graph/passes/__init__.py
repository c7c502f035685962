"""Passes: functions from a program to a better one with the same results, one file each."""
