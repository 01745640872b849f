"""The annotation files of the field's data sets, one file per data set."""
