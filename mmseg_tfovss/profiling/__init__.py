"""What methods cost: seconds, FLOPs, memory."""
