"""What of the repository's documents is rendered: tables, plots and the page of methods.

PYTHONPATH=tools python -m documents methods plots tables     writes docs/methods.md, the pictures, the tables
PYTHONPATH=tools python -m documents --check                  writes nothing; exit 1 if a table is out of date
"""
