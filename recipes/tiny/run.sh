#!/usr/bin/env bash
# Make the embedded model again: phantoms, training from scratch, scores on held-out phantoms, the file in the package.
# usage: recipes/tiny/run.sh [WORK_FOLDER]    about 20 + 60 minutes on two CPU cores; every step resumes if interrupted
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-runs/tiny}
samed="${PYTHON:-.venv/bin/python} -m SAMedLib"

$samed prepare phantoms -o "$work/train" --cases 337 --seed 0 --in-plane 192 --slices 28
$samed prepare phantoms -o "$work/held_out" --cases 20 --seed 100000 --in-plane 192 --slices 28
if [ -e "$work/run" ]; then
  $samed train --output "$work/run" --resume
else
  $samed train --config recipes/tiny/train.json --data "$work/train" --output "$work/run"
fi
${PYTHON:-.venv/bin/python} recipes/tiny/embed.py "$work/run"
$samed evaluate --model tiny --data "$work/held_out" --protocol mm --json "$work/held_out.json" --html "$work/held_out.html"
