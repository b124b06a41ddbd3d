"""A worker process: counts into a shared folder until it is killed. Usage: counting FOLDER NUMBER"""

import sys
from pathlib import Path

from engramia.telemetry.metrics import Metrics
from engramia.telemetry.totals import Totals

folder, number = Path(sys.argv[1]), int(sys.argv[2])
metrics = Metrics(folder=folder)
metrics.tell_totals(lambda: Totals(pattern_count=42, total_runs=0))
for _ in range(number):
    metrics.request("POST", "/v1/recall", 200, 0.002)
    metrics.recalled(1)
metrics.job_submitted(f"worker-{number}")
sys.stdout.write("done\n")
sys.stdout.flush()
sys.stdin.read()
