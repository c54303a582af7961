default_scope = "mmseg_tfovss"
# So that MMEngine and MMSegmentation know the names below in a process that has imported nothing else.
custom_imports = dict(imports=["mmseg_tfovss.methods"])
work_dir = "work_dirs/runner"  # of MMEngine's Runner by itself; tfovss test: work_dirs/<config name>
launcher = "none"
log_level = "WARNING"
env_cfg = dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0))
randomness = dict(seed=0)
force_vocabulary = False  # True: take words whose order looks wrong for the dataset
# Nothing is trained or saved by the runner; tfovss test writes the result, ProgressHook shows progress.
default_hooks = dict(logger=None, param_scheduler=None, checkpoint=None, timer=None)
# The counts are written every so many images, or seconds if that is sooner: what an interrupted run loses at most.
test_cfg = dict(type="ResumableTestLoop", save_images=50, save_seconds=30)
# For MMSegmentation's pictures; our commands draw theirs without it.
visualizer = dict(type="SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
# Several processes: nothing has gradients, so there is nothing to synchronise but the counts.
model_wrapper_cfg = dict(type="FrozenModel")
