"""Delete what ``chalice deploy`` created for a stage: ``python -m tools.stage.chalice_deletion dev``.

It does what ``chalice delete`` does, which fails if a deletion before was interrupted: then some of the recorded
resources no longer exist.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from chalice.awsclient import ResourceDoesNotExistError, TypedAWSClient
from chalice.cli.factory import CLIFactory
from chalice.deploy.appgraph import ApplicationGraphBuilder, DependencyBuilder
from chalice.deploy.deployer import BuildStage, ChaliceDeploymentError, Deployer, ResultsRecorder
from chalice.deploy.executor import Executor
from chalice.deploy.planner import NoopPlanner
from chalice.deploy.sweeper import ResourceSweeper
from chalice.utils import UI, OSUtils

from tools.stage import provision

if TYPE_CHECKING:
    from chalice.deploy import models

_ABSENT = ("NoSuchEntity", "NotFoundException", "ResourceNotFoundException")


class _Executor(Executor):
    """Deletes resources, and continues if one does not exist."""

    def _do_apicall(self, instruction: models.APICall) -> None:
        try:
            super()._do_apicall(instruction)
        except ResourceDoesNotExistError:
            return
        except ClientError as error:
            if error.response["Error"]["Code"] not in _ABSENT:
                raise


def delete(project_dir: str, stage: str) -> None:
    """Delete what is recorded in ``.chalice/deployed/`` for the stage. Raise ChaliceDeploymentError."""
    factory = CLIFactory(project_dir)
    config = factory.create_config_obj(chalice_stage_name=stage)
    # As in chalice.deploy.deployer.create_deletion_deployer, but for the executor.
    Deployer(
        application_builder=ApplicationGraphBuilder(),
        deps_builder=DependencyBuilder(),
        build_stage=BuildStage(steps=[]),
        plan_stage=NoopPlanner(),
        sweeper=ResourceSweeper(),
        executor=_Executor(TypedAWSClient(factory.create_botocore_session()), UI()),
        recorder=ResultsRecorder(osutils=OSUtils()),
    ).deploy(config, chalice_stage_name=stage)


if __name__ == "__main__":
    try:
        delete(str(provision.PROJECT_DIR), sys.argv[1])
    except ChaliceDeploymentError as error:
        sys.exit(str(error))
