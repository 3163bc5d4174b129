#!/usr/bin/env bash
# Make the embedded model again: phantoms, training from scratch in ten phases, scores on held-out phantoms.
# usage: recipes/tiny/run.sh [WORK_FOLDER]    about eight hours on two CPU cores
# Phase 1 knows abdomens only; phases 2 and 3 add scans of the hips, where a network that has seen none finds organs.
# Phase 4 is long, on more phantoms; phase 5 ends without augmentation. Phase 6 goes on with slices enlarged to 384
# pixels: of a 400 mm field of view a patch then covers 17 mm instead of 25 mm, which small organs need.
# Phase 7 learns borders within the pixels of the logits, on few phantoms; the mean with phase 6 keeps what that one knows.
# Phases 8 and 9 go on with it on many new phantoms; phase 10 sees hips again, of which phase 9 had few.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-runs/tiny}
python=${PYTHON:-.venv/bin/python}
samed="$python -m SAMedLib"

$samed prepare phantoms -o "$work/train" --cases 337 --seed 0 --in-plane 192 --slices 28
$samed train --config recipes/tiny/phase1.json --data "$work/train" --output "$work/phase1"
$samed prepare phantoms -o "$work/train" --cases 70 --seed 1000 --in-plane 192 --slices 28 --coverage hips
$samed train --config recipes/tiny/phase2.json --start "$work/phase1" --data "$work/train" --output "$work/phase2"
$samed train --config recipes/tiny/phase3.json --start "$work/phase2" --data "$work/train" --output "$work/phase3"
$samed prepare phantoms -o "$work/train" --cases 140 --seed 2000 --in-plane 192 --slices 28
$samed prepare phantoms -o "$work/train" --cases 140 --seed 3000 --in-plane 192 --slices 28
$samed train --config recipes/tiny/phase4.json --start "$work/phase3" --data "$work/train" --output "$work/phase4"
$samed train --config recipes/tiny/phase5.json --start "$work/phase4" --data "$work/train" --output "$work/phase5"
$samed train --config recipes/tiny/phase6.json --start "$work/phase5" --data "$work/train" --output "$work/phase6"

$samed prepare phantoms -o "$work/few" --cases 16 --seed 0 --in-plane 192 --slices 28
$samed prepare phantoms -o "$work/few" --cases 50 --seed 2000 --in-plane 192 --slices 28
$samed prepare phantoms -o "$work/few" --cases 8 --seed 1000 --in-plane 192 --slices 28 --coverage hips
$samed train --config recipes/tiny/phase7.json --start "$work/phase6" --data "$work/few" --output "$work/phase7"

$python recipes/tiny/embed.py "$work/phase6" "$work/phase7" -o "$work/mean7.safetensors"

$samed prepare phantoms -o "$work/more" --cases 20 --seed 0 --in-plane 192 --slices 28
$samed prepare phantoms -o "$work/more" --cases 25 --seed 1000 --in-plane 192 --slices 28 --coverage hips
$samed prepare phantoms -o "$work/more" --cases 139 --seed 4000 --in-plane 192 --slices 28
$samed train --config recipes/tiny/phase8.json --start "$work/mean7.safetensors" --data "$work/more" --output "$work/phase8"
$python recipes/tiny/embed.py "$work/mean7.safetensors" "$work/phase8/last.safetensors" -o "$work/mean8.safetensors"
$samed prepare phantoms -o "$work/more" --cases 600 --seed 4000 --in-plane 192 --slices 28
$samed train --config recipes/tiny/phase9.json --start "$work/mean8.safetensors" --data "$work/more" --output "$work/phase9"

$samed prepare phantoms -o "$work/mix" --cases 140 --seed 4000 --in-plane 192 --slices 28
$samed prepare phantoms -o "$work/mix" --cases 70 --seed 1000 --in-plane 192 --slices 28 --coverage hips
$samed train --config recipes/tiny/phase10.json --start "$work/phase9/last.safetensors" --data "$work/mix" --output "$work/phase10"

$python recipes/tiny/embed.py "$work/phase10/last.safetensors" "$work/phase9/last.safetensors"
$samed prepare phantoms -o "$work/held_out" --cases 20 --seed 100000 --in-plane 192 --slices 28
$samed evaluate --model tiny --data "$work/held_out" --protocol mm --json "$work/held_out.json" --html "$work/held_out.html"
