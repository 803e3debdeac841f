"""The local web page: drop videos, watch the webcam, read the results; and REST for programs.

It is on top of the package, as the command line is: nothing imports it but ``triaffect app``.
"""
