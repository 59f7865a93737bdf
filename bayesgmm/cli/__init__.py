"""The command line: a file in, a report and result files out."""
