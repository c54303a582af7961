"""A runner whose images cost nothing: predictions and truth are numbers made of the image's index."""

import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

import mmseg_tfovss.engine  # noqa: F401
from mmseg_tfovss.registry import LOOPS, METRICS

CLASSES = ("a", "b", "c", "d", "e")


class FakeImages(BaseDataset):
    """``images`` maps of 4x4 labels, and files of their names."""

    METAINFO = {"classes": CLASSES}  # noqa: RUF012

    def __init__(self, folder, images):
        self.folder, self.images, self.loaded = folder, images, []
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "image.png").write_bytes(b"image")
        super().__init__(lazy_init=True)
        self._metainfo, self._fully_initialized = dict(self.METAINFO), True

    def full_init(self):
        pass

    def __len__(self):
        return self.images

    def get_data_info(self, idx):
        path = str(self.folder / "image.png")
        return {"img_path": path, "seg_map_path": path}

    def __getitem__(self, idx):
        self.loaded.append(idx)
        truth = torch.randint(0, len(CLASSES), (1, 4, 4), generator=torch.Generator().manual_seed(idx))
        sample = SegDataSample(metainfo={"img_path": f"{idx}.png"})
        sample.gt_sem_seg = PixelData(data=truth)
        return {"inputs": torch.tensor(idx), "data_samples": sample}


class FakeMethod(nn.Module):
    """Half of the pixels are right."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def test_step(self, data):
        for index, sample in zip(data["inputs"], data["data_samples"], strict=True):
            truth = sample.gt_sem_seg.data
            prediction = torch.where(torch.arange(16).view(1, 4, 4) % 2 == 0, truth, int(index) % len(CLASSES))
            sample.pred_sem_seg = PixelData(data=prediction)
        return data["data_samples"]


def make_runner(folder, dataset, **loader):
    """A runner in ``folder``; each ``make_loop`` of it is a new session."""
    settings = {"dataset": dataset, "batch_size": 2, "num_workers": 0, **loader}
    return Runner(
        model=FakeMethod(),
        work_dir=str(folder),
        test_dataloader={**settings, "sampler": {"type": "DefaultSampler", "shuffle": False}},
        test_cfg={"type": "mmseg_tfovss.ResumableTestLoop"},
        test_evaluator=Evaluator(METRICS.build({"type": "SegmentationMetric"})),
        default_hooks={"logger": None, "timer": None, "checkpoint": None, "param_scheduler": None},
        default_scope="mmseg_tfovss",
        experiment_name=str(folder),
        log_level="WARNING",
        cfg=Config({"test_dataloader": {"batch_size": settings["batch_size"]}}),
    )


def make_loop(runner, dataset, *, resume=True, workers=0, **options):
    """A new session, as in a new process."""
    return LOOPS.build(
        {
            "type": "ResumableTestLoop",
            "runner": runner,
            "dataloader": {"dataset": dataset, "batch_size": 2, "num_workers": workers},
            "evaluator": Evaluator(METRICS.build({"type": "SegmentationMetric"})),
            "resume": resume,
            **options,
        }
    )


def scores_of(loop):
    """Everything that must be the same to the bit."""
    scores = loop.metric.scores
    return {**scores.summary, "iou": scores.iou.tolist(), "acc": scores.acc.tolist(), "n": loop.metric.total_images}
