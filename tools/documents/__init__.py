"""What of the repository's documents is rendered: tables, plots and the page of methods.

PYTHONPATH=tools python -m documents methods plots tables    writes all of them
PYTHONPATH=tools python -m documents --check     writes nothing; exit 1 if a table is out of date
"""
