"""PKPO inside verl: the advantage estimator `pkpo`, for `algorithm.adv_estimator=pkpo`.

verl finds it by itself where pkpo is installed beside it, in the driver and in every Ray worker (the entry point
pkpo of the group verl.plugins). Its settings are added to verl's configuration:

    algorithm.adv_estimator=pkpo +algorithm.pkpo.k=8
    actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-sum-norm actor_rollout_ref.actor.loss_scale_factor=1024

    loss_scale_factor          a length, the same at every step: by default verl divides by the longest of the batch

    +algorithm.pkpo.k          a number, {1: 0.5, 8: 0.5}, or a schedule as pkpo.schedules.from_spec takes it
    +algorithm.pkpo.transform  sloo_minus_one, or another that pkpo.transform takes, in quotes where it has brackets:
                               '"mixed(0.25)"'; not history, for verl names groups anew at each step
    +algorithm.pkpo.scale      mean, sum or rms
    +algorithm.pkpo.short      zero or error: what a group does that has fewer rewards than the transform needs
    +algorithm.pkpo.state      a file that keeps how far the schedule has come, for a training that is resumed

Tested with verl 0.9.1 in an environment of its own: `make test-verl`.
"""

from verl.trainer.ppo.core_algos import register_adv_est

from pkpo.integrations.advantages import AdvantageEstimator

pkpo = register_adv_est("pkpo")(AdvantageEstimator())
