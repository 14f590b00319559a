"""`python -m fedmvp_flwr.cli` is the command `fedmvp`."""

from fedmvp_flwr.cli.main import main

if __name__ == "__main__":
    main()
