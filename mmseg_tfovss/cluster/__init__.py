"""Many runs: a list of configs, here or as one array job on slurm."""
