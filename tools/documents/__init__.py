"""What of the documents is rendered: tables, plots, and pages of methods, verbs and names.

With PYTHONPATH=tools:benchmarks, in the root:

    python -m documents pages plots tables    writes all of them
    python -m documents --check               writes nothing; exit 1 if a table is out of date
"""
