"""The model that comes with the package: scenes-tiny, 4.7 M numbers in half precision."""
