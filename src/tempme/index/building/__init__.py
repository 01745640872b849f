"""From files to an index: scanned, decoded, encoded, written."""
