"""`python -m engramia.mcp`."""

from engramia.mcp import main

if __name__ == "__main__":
    main()
