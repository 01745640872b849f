"""Worker processes: one function over many items, some of which may kill or hang the process."""
