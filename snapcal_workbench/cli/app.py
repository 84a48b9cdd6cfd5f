"""All commands of `snapcal`, for whoever runs them from Python; see `commands`."""

from snapcal_workbench.cli.commands import make_app

app = make_app()
