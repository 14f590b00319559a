"""The ServerApp: config -> clients prepare -> probe -> strategy -> rounds -> results."""

from logging import ERROR

from flwr.app import Context
from flwr.common.logger import log
from flwr.serverapp import Grid, ServerApp

from fedmvp_flwr.base.errors import FedMVPError
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import output_folder
from fedmvp_flwr.server.patient_grid import PatientGrid
from server_app.run import execute, open_run

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run FedMVP from the first message to the report; a failure fails the Flower run."""
    try:
        config = RunConfig.from_run_config(context.run_config)
        run = open_run(config, RunFolder(output_folder(config.run, context.run_id)))
    except FedMVPError as error:
        log(ERROR, "FedMVP error: %s", error)
        raise
    try:
        execute(run, PatientGrid(grid))
    except Exception as error:
        log(ERROR, "FedMVP error: %s", error)
        run.journal.fail(error)
        raise
