"""The models that come with the package, each of 4.7 M numbers in half precision.

scenes-tiny knows generated scenes before plain backgrounds; scenes-lively is the backbone of lively
ones, before any tuning.
"""
