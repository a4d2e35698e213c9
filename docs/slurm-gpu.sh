#!/bin/bash
# ISAC2 on a node with GPUs: sbatch slurm-gpu.sh particles.star classes --radius=120 --CTF
#
# One rank a GPU, with the cores that go with it: the ranks of a node take its GPUs in turn. A run
# that has not finished when its time is over stops by itself, is put back into the queue, and goes
# on from its last saved point.
#SBATCH --job-name=isac2
#SBATCH --nodes=1
#SBATCH --gpus-per-node=4
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=6
#SBATCH --mem-per-cpu=2G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

# where isac2 was installed; with the cluster's own MPI: pip install --no-binary=mpi4py isac2 mpi4py
source "${ISAC2_ENVIRONMENT:-$HOME/isac2}/bin/activate"

# One thread library inside another would ask for more cores than there are.
export OMP_NUM_THREADS=1

# Slurm (or PMIx) starts the ranks, and ends all of them when one ends badly. If srun starts
# programs that know nothing of each other, give it the --mpi that 'srun --mpi=list' has for PMIx.
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --kill-on-bad-exit=1 \
    sp_isac2.py "$@" --device=cuda --threads="$SLURM_CPUS_PER_TASK" --max-hours=11.8
code=$?

# 75: its time was over, and the same command goes on
if [ "$code" -eq 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
