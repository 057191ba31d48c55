"""`python -m schoolgate`."""

from schoolgate.cli import main

main()
