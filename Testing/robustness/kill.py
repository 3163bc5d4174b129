"""Kill work at random moments, many times, and count what was lost: python Testing/robustness/kill.py --kills 60."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "Testing" / "Python"), str(ROOT / "Testing" / "Python" / "robustness")]
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch

WORKS = ("training", "segmenting", "preparing", "downloading")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--kills", type=int, default=60, help="of each kind of work")
    parser.add_argument("--work", choices=WORKS, nargs="+", default=WORKS, help="what is killed")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()

    import kill_jobs
    from killing import kill_until_through

    print(f"{'work':<14}{'kills':>8}{'while writing':>16}{'got through':>14}{'files lost':>13}", flush=True)
    wrong = 0
    for work in args.work:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as home:
            os.environ["SAMED_HOME"] = home  # not the user's weights and slices
            with getattr(kill_jobs, work)(Path(folder)) as make:
                found = kill_until_through(make, args.kills, random.Random(args.seed))
        counts = f"{found.kills:>8}{found.while_writing:>16}{found.got_through:>14}{len(found.wrong):>13}"
        print(f"{work:<14}{counts}", flush=True)
        for problem in found.wrong:
            print(f"  {problem}", flush=True)
        wrong += len(found.wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
