"""`python -m engramia.cli`."""

from engramia.cli import main

if __name__ == "__main__":
    main()
