#!/usr/bin/env bash
# Train @RUN@ with verl on the Ray cluster that RAY_ADDRESS names, or on this machine alone.
# Further settings of verl's: ./launch.sh actor_rollout_ref.rollout.gpu_memory_utilization=0.6
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd -P)
mkdir -p "$here/log"
# A training that is resumed goes on with the schedule of k where its checkpoint has it.
latest="$here/checkpoints/latest_checkpointed_iteration.txt"
if [ -e "$latest" ]; then
    kept="$here/checkpoints/global_step_$(cat "$latest")/pkpo-schedule.json"
    if [ -e "$kept" ]; then cp "$kept" "$here/schedule.json"; fi
else
    rm -f "$here/schedule.json"
fi
state=()
if grep -q '^    state:' "$here/config.yaml"; then state=("algorithm.pkpo.state='$here/schedule.json'"); fi
held_out=train
if [ -e "$here/held-out.parquet" ]; then held_out=held-out; fi
export VERL_USE_EXTERNAL_MODULES=pkpo.integrations.verl
exec "${PYTHON:-python3}" -m verl.trainer.main_ppo --config-path "$here" --config-name config \
    "data.train_files='$here/train.parquet'" "data.val_files='$here/$held_out.parquet'" \
    "reward.custom_reward_function.path='$here/rewards.py'" \
    "trainer.default_local_dir='$here/checkpoints'" \
    "trainer.rollout_data_dir='$here/log/groups'" "trainer.validation_data_dir='$here/log/held-out'" \
    "+ray_kwargs.ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH='$here/log/metrics.jsonl'" \
    "${state[@]}" "$@"
