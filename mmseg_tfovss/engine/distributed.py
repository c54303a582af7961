"""Several processes, each with a copy of the frozen model."""

import os
import subprocess
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from mmengine.dist import barrier, broadcast_object_list, init_dist, is_main_process
from mmengine.registry import MODEL_WRAPPERS
from mmengine.utils.dl_utils import set_multi_processing
from torch import nn

Value = TypeVar("Value")
_FIRST_PORT, _PORTS = 20_000, 20_000
_STEP = 997  # between the ports of a job's steps


def join_processes(launcher: str, env_cfg: Mapping[str, Any]) -> None:
    """Join the process group of a launcher, before MMEngine's runner would.

    MMEngine reaches for a GPU whatever the backend, so on machines without one the group (gloo) is made here. Jobs that
    share a slurm node get ports of their own.

    Args:
        launcher: ``none``, ``pytorch`` (torchrun's variables are set) or ``slurm``.
        env_cfg: MMEngine's settings of processes.

    Raises:
        ValueError: the launcher's environment variables are missing.
    """
    slurm = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_NODELIST")
    wanted = {"none": (), "pytorch": ("RANK", "WORLD_SIZE"), "slurm": slurm}[launcher]
    missing = [name for name in wanted if name not in os.environ]
    if missing:
        torchrun = "torchrun --nproc-per-node N -m mmseg_tfovss test CONFIG --launcher pytorch"
        start = {"pytorch": torchrun, "slurm": "srun"}[launcher]
        raise ValueError(f"--launcher {launcher} needs {', '.join(missing)} in the environment: start it with {start}.")
    if launcher == "slurm":
        job, step = (int(os.environ.get(name, 0)) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
        os.environ.setdefault("MASTER_PORT", str(_FIRST_PORT + (job + _STEP * step) % _PORTS))
    if launcher == "none" or torch.distributed.is_initialized():
        return
    if torch.cuda.is_available():  # as the runner does it
        set_multi_processing(**env_cfg.get("mp_cfg", {}), distributed=True)
        init_dist(launcher, **env_cfg.get("dist_cfg", {}))
        return
    if launcher == "slurm":
        command = ["scontrol", "show", "hostname", os.environ["SLURM_NODELIST"]]
        try:
            hosts = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        except (OSError, subprocess.CalledProcessError) as error:
            raise ValueError(f"--launcher slurm needs slurm's {' '.join(command)}, which failed: {error}") from error
        os.environ.setdefault("MASTER_ADDR", hosts[0])
        os.environ["RANK"], os.environ["WORLD_SIZE"] = os.environ["SLURM_PROCID"], os.environ["SLURM_NTASKS"]
        os.environ["LOCAL_RANK"] = os.environ.get("SLURM_LOCALID", "0")
    torch.distributed.init_process_group("gloo")


def is_first_process(launcher: str) -> bool:
    """Whether this is the first of a launcher's processes, also before there is a process group."""
    if launcher == "none":
        return True  # a cluster may have set the variables below for reasons of its own
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) == "0"


def share_first(work: Callable[[], Value]) -> Value:
    """Do something on the first process; all of them get its value, or its ValueError or OSError, or word of a bug."""
    answer: list[Any] = [None, None]
    bug: Exception | None = None
    if is_main_process():
        try:
            answer[0] = work()
        except (ValueError, OSError) as error:
            answer[1] = error
        except Exception as error:
            bug, answer[1] = error, ValueError(f"The first process has failed: {type(error).__name__}: {error}")
    broadcast_object_list(answer)
    if bug is not None:
        raise bug
    if answer[1] is not None:
        raise answer[1]
    return answer[0]


def prepare_once(model: Any) -> None:  # noqa: ANN401 - a method or a wrapper around one
    """Compute the text features on the main process; the others then find them in the cache."""
    model = getattr(model, "module", model)
    if is_main_process():
        model.prepare()
    barrier()
    model.prepare()


@MODEL_WRAPPERS.register_module()
class FrozenModel(nn.Module):
    """Stand-in for ``DistributedDataParallel``, which refuses models without gradients.

    Args:
        module: the model of this process.
        **kwargs: options of MMEngine's wrapper; none is needed.
    """

    def __init__(self, module: nn.Module, **kwargs: object) -> None:
        super().__init__()
        self.module: Any = module

    def test_step(self, data: dict[str, Any]) -> list[Any]:
        """Predict a batch with this process's model."""
        return self.module.test_step(data)
