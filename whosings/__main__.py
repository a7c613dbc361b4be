"""`python -m whosings` is `whosings`."""

from whosings.cli import main

if __name__ == "__main__":
    main()
